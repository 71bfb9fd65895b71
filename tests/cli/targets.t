# What an output path is, for every command that writes one: devices and pipes are written as the bytes come, a link's
# target is written, and nothing but a file is ever replaced.

$ make_tiny_model m.gguf && mkdir there folder.svg tmp
$ twobit csi train --net hybrid --n 8 --p 64 --batch 8 --steps-factor 1e-6 -o net -q 2>log
$ twobit csi evaluate --receivers net,mmse --n 8 --p 64 --frames 16 -q --json results.json
$ cat >write <<'end'
> #!/bin/sh
> # usage: write WHAT FILE
> case $1 in
> quantize) twobit quantize m.gguf -m rtn --no-measure -q -o "$2" ;;
> logits) twobit logits m.gguf --ids 1,5,7 -q -o "$2" ;;
> simulate) twobit csi simulate --n 8 --p 64 --frames 300 -q -o "$2" ;;
> train) twobit csi train --net hybrid --n 8 --p 64 --batch 8 --steps-factor 1e-6 -q -o "$2" ;;
> pack) twobit csi quantize net -q -o "$2" ;;
> table) twobit csi evaluate --receivers net,mmse --n 8 --p 64 --frames 16 -q --csv "$2" >log ;;
> object) twobit csi evaluate --receivers net,mmse --n 8 --p 64 --frames 16 -q --json "$2" ;;
> plot) twobit csi plot results.json -q -o "$2" ;;
> compare) twobit compare m.gguf -m rtn --max-tokens 512 --work lab -q --csv "$2" >log ;;
> analyze) twobit analyze m.gguf --plot "$2" -q >log ;;
> esac
> end
$ cat >each <<'end'
> #!/bin/sh
> # usage: each COMMAND: `out` is what is written, `whole` a file of it
> export TMPDIR="$PWD/tmp"
> for what in quantize logits simulate train pack table object plot compare analyze; do
>     [ -f "$what.whole" ] || sh write $what "$what.svg" >log && mv -f "$what.svg" "$what.whole" 2>log
>     export what; sh -c "$1" || echo "not with $what"
> done
> end

# A pipe gets the bytes and stays one.
$ mkfifo pipe.svg
$ sh each 'cat pipe.svg >got & sh write $what pipe.svg >log; wait; cmp got $what.whole && test -p pipe.svg'

# A device too. This one is our own.
$ if mknod null.svg c 1 3 2>log; then sh each 'sh write $what null.svg >log && test -c null.svg'; fi

# A link to nothing yet, in another folder; then to a file.
$ ln -s there/out.svg link.svg
$ for time in once again; do sh each 'sh write $what link.svg >log && test -L link.svg && cmp there/out.svg $what.whole'; done
$ ls there; ln -s link.svg chain.svg; sh each 'rm there/out.svg; sh write $what chain.svg >log && test -L link.svg && test -L chain.svg && cmp there/out.svg $what.whole'
out.svg

# An open descriptor under another name: the bytes come where it stands.
$ ln -s /proc/self/fd/3 out.svg
$ sh each '{ printf head >&3; sh write $what out.svg >log; printf tail >&3; } 3>got; { printf head; cat $what.whole; printf tail; } | cmp - got'
$ test -L out.svg

# Where it is standard output, the file is all that is printed.
$ for to in /dev/stdout /dev/fd/1 /proc/self/fd/1; do
>     twobit quantize m.gguf -m rtn --no-measure -q -o $to | cmp - quantize.whole
>     twobit csi quantize net -o $to 2>log | cmp - pack.whole
> done

# What cannot be written is left alone.
$ sh each 'sh write $what folder.svg 2>&1 | grep -q "folder.svg.: it is a folder" && test -d folder.svg'
$ ln -s loop.svg loop.svg; sh each 'sh write $what loop.svg >log 2>&1; test $? = 1 && test -L loop.svg'
$ sh each 'sh write $what nowhere/out.svg >log 2>&1; test $? = 1'

# Nothing is left beside any of them, or among the temporary files.
$ find . -name '*.partial*' -o -name '*.tmp-*' -o -name '*.lock'; ls "$PWD/tmp"
