$ make_tiny_model tiny.gguf

# What is written opens, is smaller, and is what its checksums say. (A model that knows nothing
# to begin with is called broken.)
$ twobit quantize tiny.gguf -o small.gguf --method bpdq --calib-tokens 512
small.gguf: 74,* bytes, linears 2.8* bits per weight, whole file * (glob)
quantized in *, peak memory * bytes, relative error 0.* (glob)
perplexity on * held-out tokens: *, the original's is * (glob)
! twobit: warning: the result is broken: perplexity * on held-out text, the original has *; use more bits, smaller groups or method 'bpdq' (glob)
$ twobit info small.gguf --verify | sed -n '/checksums/,/^$/p'
checksums     all right: every matrix decodes to the values it was written with
written by    twobit * (glob)
method        bpdq
bits          2
group         64
$ twobit run small.gguf -p "the end" -n 3 --temp 0 >text; test -s text
$ ls
small.gguf
text
tiny.gguf

# The same command gives the same bytes, at any number of threads.
$ twobit quantize tiny.gguf -o again.gguf --method bpdq --calib-tokens 512 -t 1 2>/dev/null >&2; cmp small.gguf again.gguf

$ twobit quantize tiny.gguf -o small.gguf --method gptq --bits 3 --group 32 --calib-tokens 512 --json 2>/dev/null >json; keys <json
block_bits blocks_reused broken dead_columns file_bits_per_weight file_bytes heldout_tokens linear_bits_per_weight matrices method nonfinite_weights output peak_rss_bytes perplexity reference_perplexity relative_error seconds seed
$ for method in rtn clip hqq awq gptq bpdq ptqtp; do
>     twobit quantize tiny.gguf -o $method.gguf -m $method --calib-tokens 256 --json 2>/dev/null | grep -e method -e matrices
>     twobit info $method.gguf --json | grep '"method"'
> done
  "method": "rtn",
  "matrices": 14,
    "method": "rtn",
  "method": "clip",
  "matrices": 14,
    "method": "clip",
  "method": "hqq",
  "matrices": 14,
    "method": "hqq",
  "method": "awq",
  "matrices": 14,
    "method": "awq",
  "method": "gptq",
  "matrices": 14,
    "method": "gptq",
  "method": "bpdq",
  "matrices": 14,
    "method": "bpdq",
  "method": "ptqtp",
  "matrices": 14,
    "method": "ptqtp",

# A changed byte in the planes is noticed.
$ cp rtn.gguf bad.gguf; printf '\252\252' | dd of=bad.gguf bs=1 seek=$(($(wc -c <bad.gguf) - 25000)) conv=notrunc 2>/dev/null
$ twobit info bad.gguf --verify
! twobit: matrix '*' of 'bad.gguf' does not decode to the values it was written with (glob)
= 1

# Fewer tokens than one window are no calibration; where none is needed, nobody counts.
$ twobit quantize tiny.gguf -o few.gguf -m bpdq --calib-tokens 255
! twobit: calibration on 'built-in text': 255 tokens are too few: the least is one window, 256
= 1
$ twobit quantize tiny.gguf -o few.gguf -m rtn --calib-tokens 1 --no-measure >/dev/null

# Killed at any moment, the same command continues, and the file is the same to the byte.
$ make_tiny_model deep.gguf --blocks 6
$ twobit quantize deep.gguf -o whole.gguf -m bpdq --calib-tokens 768 2>/dev/null >&2
$ twobit quantize deep.gguf -o parts.gguf -m bpdq --calib-tokens 768 2>/dev/null >&2 & pid=$!
> until ls parts.gguf.partial/block-* >/dev/null 2>&1; do kill -0 $pid || break; done
> kill -9 $pid; wait $pid 2>/dev/null; echo $?
> twobit quantize deep.gguf -o parts.gguf -m bpdq --calib-tokens 768 2>/dev/null >&2; cmp whole.gguf parts.gguf
137

# Ctrl-C and SIGTERM end it as shells expect, leave nothing unfinished, and it goes on from there.
$ for signal in INT TERM; do
>     twobit quantize deep.gguf -o stopped.gguf -m bpdq --calib-tokens 768 2>err >&2 & pid=$!
>     until ls stopped.gguf.partial/block-* >/dev/null 2>&1; do kill -0 $pid || break; done
>     { kill -$signal $pid; wait $pid; echo $?; } 2>/dev/null
>     cat err; ls -d stopped*
>     mv stopped.gguf.partial $signal.gguf.partial; ls $signal.gguf.partial | grep tmp
>     twobit quantize deep.gguf -o $signal.gguf -m bpdq --calib-tokens 768 2>/dev/null >&2; cmp whole.gguf $signal.gguf
> done
130
twobit: stopped; the same command continues where it was
stopped.gguf.partial
143
twobit: stopped; the same command continues where it was
stopped.gguf.partial

# A disk that fills up: nothing appears under the name, finished blocks stay, and the next run uses them.
$ (ulimit -f 200; twobit quantize deep.gguf -o full.gguf -m bpdq --calib-tokens 768)
! twobit: cannot write '*': File too large (glob)
= 1
$ test ! -e full.gguf; twobit quantize deep.gguf -o full.gguf -m bpdq --calib-tokens 768 --json 2>/dev/null | grep reused
  "blocks_reused": 6,
$ cmp whole.gguf full.gguf; ls | grep -e full -e parts
full.gguf
parts.gguf

# What an interrupted run left is not mixed with anything else.
$ (ulimit -f 200; twobit quantize deep.gguf -o full.gguf -m bpdq --calib-tokens 768) 2>/dev/null
= 1
$ twobit quantize deep.gguf -o full.gguf -m bpdq --calib-tokens 512
! twobit: the calibration text changed since 'full.gguf.partial' was begun; go on as before, or remove that folder to start afresh
= 1

# Weights that are not numbers count as 0, and that is said.
$ make_tiny_model nan.gguf --nan
$ twobit quantize nan.gguf -o out.gguf -m rtn --json 2>err | grep nonfinite; grep -c 'not finite' err
  "nonfinite_weights": 1,
2

# Blocks of different widths, under an average or a size; the file keeps the size, and says what it holds.
$ twobit quantize deep.gguf -o mixed.gguf -m rtn -g 32 --allocate first --avg-bits 2.7 2>/dev/null | grep bits:
4 bits: block 0 1
2 bits: block 2 3 4 5
$ twobit info mixed.gguf | grep 'block bits'
block bits    4 4 2 2 2 2
$ twobit quantize deep.gguf -o mixed.gguf -m bpdq -g 32 --calib-tokens 256 --allocate lieq --widths 2,3,4 --size 220000 --json 2>/dev/null >json
> size=$(wc -c <mixed.gguf); test $size -le 220000 && test $size -gt 200000 && grep -A 1 block_bits json
  "block_bits": [
    [234], (glob)
$ twobit quantize deep.gguf -o same.gguf -m rtn -g 32 --block-bits 4,4,2,2,2,2 2>/dev/null >/dev/null
> twobit quantize deep.gguf -o mixed.gguf -m rtn -g 32 --allocate first --avg-bits 2.7 2>/dev/null >/dev/null; cmp same.gguf mixed.gguf
$ for rule in '' '--allocate ppl'; do
>     twobit quantize deep.gguf -o "by-$rule.gguf" -m rtn -g 32 $rule --avg-bits 2.7 2>/dev/null >/dev/null
> done; cmp by-.gguf "by---allocate ppl.gguf"
$ twobit quantize deep.gguf -o same.gguf -m rtn --block-bits 4,4,2,2,2
! twobit: '4,4,2,2,2' is no list of 6 widths like 4,2,2,2, one for each block
= 1
$ twobit quantize deep.gguf -o tight.gguf -m rtn --allocate lieq --size 1000
! twobit: 1000 bytes are too few: the smallest file has [0-9]* (glob)
= 1
$ twobit quantize deep.gguf -o tight.gguf -m ptqtp --allocate lieq --avg-bits 3
! twobit: method 'ptqtp' has always 2 planes, not 4
= 1
$ for wrong in '--allocate lieq' '--avg-bits 3 --size 9' '--avg-bits 3 --bits 2' '--allocate best --avg-bits 3' '--allocate lieq --avg-bits 3 --bits 2' '--allocate lieq --avg-bits 3 --widths 2;4'; do
>     twobit quantize deep.gguf -o tight.gguf $wrong 2>&1 | head -n 1
> done
twobit: --allocate needs either --avg-bits or --size
twobit: --avg-bits and --size exclude each other
twobit: --bits and --avg-bits exclude each other; give --widths
twobit: unknown rule 'best'; use lieq, lieq-v1, ppl, free, first, uniform, reversed or random
twobit: --bits and --allocate exclude each other; give --widths
twobit: '2;4' is no list of at most 4 widths like 2,3,4

# The published methods: at least one block gets the high width, and the recipe says whose rule it was.
$ twobit quantize deep.gguf -o mixed.gguf -m bpdq -g 32 --calib-tokens 256 --published --avg-bits 2.05 2>/dev/null | grep -c '^[24] bits: block'
2
$ twobit info -v mixed.gguf | grep -o '"published":true.*"shrinkage":false'
"published":true,"shrinkage":false
$ for wrong in '--allocate ppl --avg-bits 3' '--size 220000' '--avg-bits 3 --widths 2,3,4'; do
>     twobit quantize deep.gguf -o tight.gguf --published $wrong 2>&1 | head -n 1
> done
twobit: --published allocates by lieq or lieq-v1 under --avg-bits, and --widths are then two
twobit: --published allocates by lieq or lieq-v1 under --avg-bits, and --widths are then two
twobit: --published allocates by lieq or lieq-v1 under --avg-bits, and --widths are then two

# Embedding and head in fewer bits, and the size knows it.
$ twobit quantize tiny.gguf -o head4.gguf -m rtn --head-bits 4 --json 2>/dev/null | grep file_bytes
  "file_bytes": *, (glob)
$ twobit info head4.gguf --verify | grep checksums
checksums     all right: every matrix decodes to the values it was written with
$ test $(wc -c <head4.gguf) -lt $(wc -c <rtn.gguf)
$ twobit quantize tiny.gguf -o x.gguf -m rtn --no-measure --json | grep -e perplexity -e heldout; rm x.gguf
  "perplexity": null,
  "reference_perplexity": null,
  "heldout_tokens": 0,
$ twobit run head4.gguf -p "the end" -n 3 --temp 0 >text; test -s text
$ twobit quantize tiny.gguf -o x.gguf --head-bits 3 2>&1 | head -n 1
twobit: option '--head-bits': 3 is too small, the least is 4
$ twobit quantize tiny.gguf -o x.gguf --head-bits 6 --keep-head 2>&1 | head -n 1
twobit: --head-bits and --keep-head exclude each other
$ twobit quantize tiny.gguf -o x.gguf --embedding-bits 6 --keep-head 2>&1 | head -n 1
twobit: --embedding-bits and --keep-head exclude each other

# The embedding in fewer bits still, where the head is a matrix of its own.
$ twobit quantize tiny.gguf -o embedding2.gguf -m rtn --head-bits 4 --embedding-bits 2 2>/dev/null >&2
$ twobit info embedding2.gguf --verify | grep checksums
checksums     all right: every matrix decodes to the values it was written with
$ test $(wc -c <embedding2.gguf) -lt $(wc -c <head4.gguf)
$ twobit run embedding2.gguf -p "the end" -n 3 --temp 0 >text; test -s text
$ make_tiny_model tied.gguf --tied
$ twobit quantize tied.gguf -o x.gguf -m rtn --embedding-bits 2
! twobit: the embedding of this model is its head as well and takes the head's bits
= 1

# Matrices that are not quantized. A random model has no super weights.
$ twobit quantize tiny.gguf -o held.gguf -m rtn --no-measure --hold-out blk.0.ffn_down.weight,blk.1.attn_q.weight | head -n 1
held.gguf: * (glob)
! twobit: 'blk.0.ffn_down.weight' is held out
! twobit: 'blk.1.attn_q.weight' is held out
$ twobit info held.gguf -v | grep -e "^blk.0.ffn_down" -e "^blk.1.attn_q"
blk.0.ffn_down.weight * Q8_0 * (glob)
blk.1.attn_q.weight * Q8_0 * (glob)
$ twobit perplexity held.gguf --ctx 64 --max-tokens 128 | grep -c perplexity
1
$ twobit quantize tiny.gguf -o none.gguf -m rtn --no-measure >/dev/null; twobit quantize tiny.gguf -o auto.gguf -m rtn --no-measure --hold-out auto >/dev/null; cmp none.gguf auto.gguf
! twobit: nothing super was found, and nothing is held out
$ twobit quantize tiny.gguf -o x.gguf --hold-out blk.0.ffn_down
! twobit: option '--hold-out': the model's blocks have no matrix 'blk.0.ffn_down'
= 1
$ twobit quantize tiny.gguf -o x.gguf --hold-out blk.0.ffn_down.weight,
! twobit: option '--hold-out': the model's blocks have no matrix ''
= 1

# Usage.
$ twobit quantize tiny.gguf -o x.gguf --method nonsense 2>&1 | head -n 1
twobit: unknown method 'nonsense'; use rtn, clip, hqq, awq, gptq, bpdq or ptqtp
$ twobit quantize tiny.gguf -o x.gguf --group 33
! twobit: group 33 is not a multiple of 32 up to 65536
! usage: twobit quantize MODEL -o FILE [--method NAME] [--bits K] [options]
! 'twobit help quantize' explains the options
= 2
$ twobit quantize tiny.gguf -o x.gguf --bits 5 2>/dev/null
= 2
$ twobit quantize tiny.gguf 2>&1 | head -n 1
twobit: give the file to write with -o
$ twobit quantize tiny.gguf -o ./tiny.gguf
! twobit: the output './tiny.gguf' is the model itself
= 1
$ twobit quantize tiny.gguf -o missing/x.gguf
! twobit: cannot create 'missing/x.gguf': No such file or directory
= 1
$ echo short >short; twobit quantize tiny.gguf -o x.gguf --calib short
! twobit: calibration on 'short': the text has 6 tokens, fewer than one window of 256
= 1
$ twobit quantize tiny.gguf -o x.gguf --calib missing
! twobit: cannot open 'missing': No such file or directory
= 1
$ ls | grep x.gguf
= 1
