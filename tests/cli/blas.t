# A BLAS library that does not know the processor starts with kernels of 2004. $blas_fallback, preloaded, makes it do so.

$ make_tiny_model m.gguf
$ cat >fallback <<'end'
> #!/bin/sh
> # usage: [chosen=CORE] fallback COMMAND [arguments]; a sanitizer wants to be the first library, which it need not be here
> exec env -u TWOBIT_CPU -u OPENBLAS_CORETYPE ${chosen:+OPENBLAS_CORETYPE=$chosen} \
>     ASAN_OPTIONS="$ASAN_OPTIONS:verify_asan_link_order=0" LD_PRELOAD="$blas_fallback" "$@"
> end
$ chmod +x fallback
$ cat >core <<'end'
> #!/bin/sh
> # usage: core [COMMAND]: the BLAS library's kernels, as the program that the command starts says
> "$@" twobit info m.gguf -v 2>errors | sed -n 's/^machine .* with \(.*\) kernels, kernels \(.*\)$/\1 \2/p'
> end
$ chmod +x core

# The program brings it to those of the processor, silently.
$ case $(./core ./fallback) in
>     "Sandybridge scalar" | "Haswell avx2" | "SkylakeX avx512" | "SkylakeX vnni") cat errors ;;
>     *) ./core ./fallback ;;
> esac

# Everything else is as it was: arguments, streams, the process itself with its name.
$ printf 'a text,\n  spaces ' >text
$ twobit tokenize m.gguf --text - <text >a && ./fallback twobit tokenize m.gguf --text - <text >b && cmp a b
$ twobit tokenize m.gguf 'two  words; $HOME' >a && ./fallback twobit tokenize m.gguf 'two  words; $HOME' >b && cmp a b
$ ./fallback twobit infoo m.gguf
! twobit: unknown command 'infoo'; did you mean 'info'?
! usage: twobit COMMAND [arguments]; 'twobit help' lists the commands
= 2
$ mkfifo pipe
$ ./fallback twobit tokenize m.gguf --text pipe >b &
> exec 3>pipe
> cat /proc/$!/comm
> cat text >&3
> exec 3>&-
> wait $! && twobit tokenize m.gguf --text text | cmp - b
twobit

# Who sets the variable has chosen.
$ chosen=Nehalem ./core ./fallback | sed 's/ .*//'
Nehalem
$ cat errors
$ OPENBLAS_CORETYPE=Prescott ./core | sed 's/ .*//'
Prescott
$ cat errors

# Run by a loader the program cannot start itself again: one sentence says what helps.
$ loader=$(ls /lib64/ld-linux-x86-64.so.2 /lib/ld-linux-*.so.* 2>/dev/null | head -n 1)
> ./fallback "$loader" "$(command -v twobit)" tokenize m.gguf a >b
! twobit: slow on this processor: OpenBLAS * with Prescott kernels; set the environment variable OPENBLAS_CORETYPE=* (glob)
$ loader=$(ls /lib64/ld-linux-x86-64.so.2 /lib/ld-linux-*.so.* 2>/dev/null | head -n 1)
> ./fallback "$loader" "$(command -v twobit)" tokenize m.gguf a --quiet >b

# What was made with calibration depends on the kernels, and names them.
$ for method in gptq rtn; do
>     OPENBLAS_CORETYPE=Prescott twobit quantize m.gguf -o q.gguf --method $method --no-measure -q >out && twobit info -v q.gguf | grep -o '"blas":[^,]*'
> done
"blas":"OpenBLAS * with Prescott kernels" (glob)
= 1
