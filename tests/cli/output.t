# Standard output that cannot take what is printed: no command seems to have succeeded.

$ twobit help run >&-
! twobit: cannot write the output: standard output is closed
= 1
$ twobit --version >&-
! twobit: cannot write the output: standard output is closed
= 1
$ { ulimit -f 0; twobit help >here; echo $?; } 2>&1 | cat
twobit: cannot write the output: File too large
1

# Nor can a file that the command opens become standard output.
$ make_tiny_model tiny.gguf --chat-template; echo '[{"role": "user", "content": "Hi"}]' >chat.json
$ twobit quantize tiny.gguf -o small.gguf -m rtn -q >&- 2>said; echo $?; tail -n 1 said; twobit info small.gguf >info; echo $?
1
twobit: cannot write the output: standard output is closed
0

$ for words in "info tiny.gguf" "info tiny.gguf --json" "run tiny.gguf -p a -n 2" "perplexity tiny.gguf --max-tokens 512" \
>     "tokenize tiny.gguf --text chat.json" "template tiny.gguf --messages chat.json" "analyze tiny.gguf --calib-tokens 512" \
>     "bench tiny.gguf --prompt 8 --gen 2" "compare tiny.gguf -m rtn --max-tokens 256 -w work" \
>     "logits tiny.gguf --ids 1 -o /dev/stdout" "compare tiny.gguf -m rtn --max-tokens 256 -w work --csv /dev/stdout" \
>     "csi evaluate --frames 4" "csi stream --help" "csi --help"; do
>     twobit $words >&- 2>said && echo "'$words' succeeded"; tail -n 1 said | grep -q '^twobit: cannot ' || tail -n 1 said; done
