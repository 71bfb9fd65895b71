$ make_tiny_model tiny.gguf
$ twobit info tiny.gguf
architecture  llama, 98,752 parameters
shape         2 blocks of width 64, feed-forward 96, 4 heads of 16 (2 for keys and values)
text          289 tokens in the vocabulary, context of 256
file          403,360 bytes, 32.677 bits per weight, linears 32.000
type  tensors    bytes
F32        21  395,008

$ twobit info tiny.gguf -v | grep -e tensor -e blk.1
tensor                    type     shape   bytes
blk.1.attn_norm.weight    F32         64     256
blk.1.attn_q.weight       F32    64 x 64  16,384
blk.1.attn_k.weight       F32    32 x 64   8,192
blk.1.attn_v.weight       F32    32 x 64   8,192
blk.1.attn_output.weight  F32    64 x 64  16,384
blk.1.ffn_norm.weight     F32         64     256
blk.1.ffn_gate.weight     F32    96 x 64  24,576
blk.1.ffn_up.weight       F32    96 x 64  24,576
blk.1.ffn_down.weight     F32    64 x 96  24,576

$ twobit info tiny.gguf --json >info.json; keys <info.json
architecture blocks context expert_width experts experts_used ffn_width file_bits_per_weight file_bytes head_size heads kv_heads linear_bits_per_weight parameters recipe shared_width tensors tied_head verified vocab width
$ grep -A 7 '"blk.0.ffn_down.weight"' info.json
      "name": "blk.0.ffn_down.weight",
      "type": "F32",
      "shape": [
        64,
        96
      ],
      "bytes": 24576
    },

$ make_tiny_model tied.gguf --tied; twobit info tied.gguf | grep tied
text          289 tokens in the vocabulary, context of 256, head tied to the embedding

# A model may be named like an option.
$ cp tiny.gguf -- -v; twobit info -- -v | head -n 1
architecture  llama, 98,752 parameters

# Bad files: one sentence, exit 1.
$ twobit info missing.gguf
! twobit: cannot open 'missing.gguf': No such file or directory
= 1
$ head -c 1000 tiny.gguf >short.gguf; twobit info short.gguf
! twobit: metadata key 'tokenizer.ggml.tokens' announces 289 elements, more than 'short.gguf' has room for
= 1
$ head -c 300000 tiny.gguf >short.gguf; twobit info short.gguf
! twobit: tensor 'blk.1.ffn_up.weight' lies outside 'short.gguf': 24576 bytes at offset 271616 of 291648 bytes of tensors
= 1
$ echo "not a model" >text.gguf; twobit info text.gguf
! twobit: 'text.gguf' is not a GGUF file: it does not start with 'GGUF'
= 1
$ : >empty.gguf; twobit info empty.gguf
! twobit: 'empty.gguf' is not a model file: it has only 0 bytes
= 1
$ mkdir folder; twobit info folder
! twobit: folder 'folder' is not a model: it has no config.json
= 1
$ twobit info /dev/null
! twobit: '/dev/null' is not a regular file
= 1

# Only files by twobit can be verified.
$ twobit info tiny.gguf --verify
! twobit: 'tiny.gguf' has no checksums to verify: it was not written by twobit
= 1
