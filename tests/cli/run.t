$ make_tiny_model tiny.gguf

# Standard output holds the prompt and the continuation; nothing is said on stderr.
$ twobit run tiny.gguf -p "the end" -n 0
the end
$ twobit run tiny.gguf -p "the end" -n 20 >a; head -c 7 a; test $(wc -c <a) -gt 7
the end

# The same seed gives the same text, at any number of threads; another seed another.
$ twobit run tiny.gguf -p "the end" -n 20 --threads 1 >b; cmp a b
$ twobit run tiny.gguf -p "the end" -n 20 --seed 8 >c; cmp -s a c
= 1
$ twobit run tiny.gguf -p "the end" -n 20 --no-prompt >d; { printf 'the end'; cat d; } | cmp - a

# Greedy choice needs no seed.
$ twobit run tiny.gguf -p "the end" -n 20 --temp 0 --seed 1 >a
$ twobit run tiny.gguf -p "the end" -n 20 --top-k 1 --seed 2 >b; cmp a b

# A prompt of any bytes comes out as it went in.
$ printf 'a\377\000b' >bytes; twobit run tiny.gguf -f bytes -n 0 | cmp - bytes
$ twobit run tiny.gguf -f - -n 0 <bytes | cmp - bytes
$ twobit run tiny.gguf -p "" -n 3 --temp 0 >a; test -s a

$ twobit run tiny.gguf -p "the end" -n 5 --temp 0 -v >/dev/null
! twobit: prompt * tokens, * tokens/s; continuation 5 tokens, * tokens/s (glob)
! twobit: seed 0; stopped: as many tokens as asked for

# The context is a limit that is told, not passed.
$ make_tiny_model small.gguf --context 16
$ twobit run small.gguf -p "the end" -n 100 --temp 0 >/dev/null
! twobit: the model's context is full after 17 tokens
$ twobit run small.gguf -p "the end of the end of the end of the end of the end"
! twobit: the prompt has 33 tokens and leaves no room in the model's context of 16
= 1

# A model of NaN is noticed.
$ make_tiny_model nan.gguf --nan; twobit run nan.gguf -p "the end" >out
! twobit: * (glob)
= 1

$ twobit run tiny.gguf
! twobit: give the text to continue either with -p or with --prompt-file
! usage: twobit run MODEL -p TEXT [options]
! 'twobit help run' explains the options
= 2
$ twobit run tiny.gguf -p a --top-p 1.5 2>&1 | head -n 1
twobit: option '--top-p': 1.5 is too large, the most is 1
$ twobit run tiny.gguf -p a --temp nan 2>&1 | head -n 1
twobit: option '--temp': 'nan' is not a number

# Writing into a full disk fails, a closed pipe ends the text.
$ twobit run tiny.gguf -p "the end" -n 20 >/dev/full
! twobit: cannot write the output: No space left on device
= 1
$ { twobit run tiny.gguf -p "the end" -n 250; echo $? >status; } | head -c 1; cat status
t1
