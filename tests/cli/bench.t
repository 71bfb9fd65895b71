$ make_tiny_model tiny.gguf
$ twobit bench tiny.gguf --prompt 8 --gen 4
prefill  * tokens/s (8 tokens at once, spread * %) (glob)
decode   * tokens/s (4 tokens one by one, spread * %) (glob)
model    403,360 bytes, peak memory * bytes (glob)
         medians of 3, * threads, kernels *; OpenBLAS * with * kernels (glob)
$ twobit bench tiny.gguf --prompt 8 --gen 4 --repeats 1 --threads 1 --cpu scalar --json >a; keys <a
blas cpu decode_spread decode_tps gen memory model model_bytes peak_rss_bytes prefill_spread prefill_tps prompt repeats threads
$ grep -e threads -e cpu a
  "threads": 1,
  "cpu": "scalar",
$ twobit bench tiny.gguf --prompt 128 --gen 4 --repeats 1 --kv k2v2:g8:r16 | tail -n 1
memory   --kv k2v2:g8:r16
$ twobit bench tiny.gguf --prompt 300 --gen 4 --repeats 1 --stream 4:60 | tail -n 1
memory   --stream 4:60
$ twobit bench tiny.gguf --prompt 128 --gen 4 --repeats 1 --evict snapkv:64 | tail -n 1
memory   --evict snapkv:64
$ twobit bench tiny.gguf --kv k2v2:g8:r16 --stream 4:8
! twobit: a window of 8 tokens never has a group of 8 behind the 16 newest, which are kept as they are
= 1
$ twobit bench tiny.gguf --prompt 256 --gen 1
! twobit: 257 tokens do not fit into the model's context of 256
= 1
