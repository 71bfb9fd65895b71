$ make_tiny_model tiny.gguf
$ twobit bench tiny.gguf --prompt 8 --gen 4
prefill  * tokens/s (8 tokens at once, spread * %) (glob)
decode   * tokens/s (4 tokens one by one, spread * %) (glob)
model    403,360 bytes, peak memory * bytes (glob)
         medians of 3, * threads, kernels *; OpenBLAS * with * kernels (glob)
$ twobit bench tiny.gguf --prompt 8 --gen 4 --repeats 1 --threads 1 --cpu scalar --json >a; keys <a
blas cpu decode_spread decode_tps gen model model_bytes peak_rss_bytes prefill_spread prefill_tps prompt repeats threads
$ grep -e threads -e cpu a
  "threads": 1,
  "cpu": "scalar",
$ twobit bench tiny.gguf --prompt 256 --gen 1
! twobit: 257 tokens do not fit into the model's context of 256
= 1
