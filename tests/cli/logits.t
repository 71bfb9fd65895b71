$ make_tiny_model tiny.gguf
$ twobit logits tiny.gguf --ids 1,273,265,266 -o a.npy
# 4 rows of 289 floats behind a header of 128 bytes
$ wc -c <a.npy
4752
$ head -c 128 a.npy | tail -c +11 | tr -s ' '
{'descr': '<f4', 'fortran_order': False, 'shape': (4, 289), }* (glob)

# The same bytes for any number of threads.
$ twobit logits tiny.gguf --ids 1,273,265,266 -o b.npy --threads 1; cmp a.npy b.npy

# Devices and pipes are written as they are.
$ twobit logits tiny.gguf --ids 1,273,265,266 -o /dev/stdout | cmp - a.npy
$ twobit logits tiny.gguf --ids 1 -o /dev/full
! twobit: cannot write '/dev/full': No space left on device
= 1

# Nothing is left where nothing could be completed.
$ twobit logits tiny.gguf --ids 1,289 -o bad.npy
! twobit: token 289 is outside the vocabulary of 289
= 1
$ (ulimit -f 2; twobit logits tiny.gguf --ids 1,273,265,266 -o bad.npy)
! twobit: cannot write 'bad.npy': File too large
= 1
$ ls
a.npy
b.npy
tiny.gguf
$ twobit logits tiny.gguf --ids 1 -o missing/a.npy
! twobit: cannot create 'missing/a.npy': No such file or directory
= 1

$ twobit logits tiny.gguf --ids 1,,2 -o bad.npy 2>&1 | head -n 1
twobit: option '--ids': '' is not a whole number
$ twobit logits tiny.gguf --ids 1,-2 -o bad.npy 2>/dev/null
= 2
$ twobit logits tiny.gguf --ids 1
! twobit: give the tokens with --ids and the file to write with -o
! usage: twobit logits MODEL --ids LIST -o FILE.npy [options]
! 'twobit help logits' explains the options
= 2
