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

# A stop string ends the text before it, wherever tokens begin; of the seed's text nothing else changes.
$ head -c 9 d | tail -c 4 >stop; head -c 5 d >e
$ twobit run tiny.gguf -p "the end" -n 20 --no-prompt --stop "not in it" --stop "$(cat stop)" | cmp - e
$ twobit run tiny.gguf -p "the end" -n 20 --stop "" 2>&1 | head -n 1
twobit: option '--stop': the text is empty

# The other steps of the chain change the text; a forbidden token does not come.
$ twobit run tiny.gguf -p "the end" -n 20 --temp 0 --no-prompt >a
$ for o in "--repeat-penalty 3" "--presence-penalty 9" "--frequency-penalty 9"; do
>     twobit run tiny.gguf -p "the end" -n 20 --temp 0 --no-prompt $o >b; cmp -s a b; echo $?
> done
1
1
1
$ twobit run tiny.gguf -p "the end" -n 20 --typical-p 0.2 --no-prompt >b; cmp -s d b
= 1
$ twobit run tiny.gguf -p "the end" -n 4 --temp 0 --no-prompt --logit-bias 268=100 --logit-bias 269=-inf
rrrr
$ twobit run tiny.gguf -p a --logit-bias 268 2>&1 | head -n 1
twobit: option '--logit-bias': '268' is not a token id, '=' and a number
$ twobit run tiny.gguf -p a --logit-bias 268=x 2>&1 | head -n 1
twobit: option '--logit-bias': 'x' is not a number
$ twobit run tiny.gguf -p a --logit-bias 99999=1
! twobit: biased token 99999 is outside the vocabulary of 289
= 1

# A prompt of any bytes comes out as it went in.
$ printf 'a\377\000b' >bytes; twobit run tiny.gguf -f bytes -n 0 | cmp - bytes
$ twobit run tiny.gguf -f - -n 0 <bytes | cmp - bytes
$ twobit run tiny.gguf -p "" -n 3 --temp 0 >a; test -s a

$ twobit run tiny.gguf -p "the end" -n 5 --temp 0 -v >/dev/null
! twobit: prompt * tokens, * tokens/s; continuation 5 tokens, * tokens/s (glob)
! twobit: KV cache * bytes (glob)
! twobit: seed 0; stopped: as many tokens as asked for

# The context is a limit that is told, not passed.
$ make_tiny_model small.gguf --context 16
$ twobit run small.gguf -p "the end" -n 100 --temp 0 >/dev/null
! twobit: the model's context is full after 17 tokens
$ twobit run small.gguf -p "the end of the end of the end of the end of the end"
! twobit: the prompt has 33 tokens and leaves no room in the model's context of 16
= 1

# A stream goes on where the context would be full. What it drops is told when it begins and at the end; until then it is
# the same text.
$ twobit run small.gguf -p "the end" -n 100 --temp 0 --stream 4:12 --ignore-eos >a; head -c 7 a
the end
! twobit: the stream is full: from here on tokens are dropped behind the first ones
! twobit: 88 of 104 tokens were dropped from the stream
$ twobit run tiny.gguf -p "the end" -n 50 --ignore-eos >a
$ twobit run tiny.gguf -p "the end" -n 50 --ignore-eos --stream 4:100 | cmp - a
$ twobit run tiny.gguf -p "the end" -n 50 --ignore-eos --stream 0:1 -q >b; cmp -s a b
= 1
$ twobit run small.gguf -p "the end of the end of the end of the end of the end" --stream 1:8 -n 1 -q >a; test -s a
$ twobit run small.gguf -p a --stream 5:12
! twobit: a stream of 5 + 12 tokens is longer than the 16 that the model was trained for
= 1
$ for s in 5:4 0:0 4 4:x -1:4 :4 4: 4:5:6 99999999999999999999999:4; do
>     twobit run small.gguf -p a --stream $s 2>&1 >/dev/null | head -n 1
> done
twobit: option '--stream': '5:4' keeps more first tokens than its window has
twobit: option '--stream': the window of '0:0' is empty; a token sees itself at least
twobit: option '--stream': '4' is not two numbers of tokens, S:W
twobit: option '--stream': 'x' is not a whole number
twobit: option '--stream': '-1' is not a whole number
twobit: option '--stream': '' is not a whole number
twobit: option '--stream': '' is not a whole number
twobit: option '--stream': '5:6' is not a whole number
twobit: option '--stream': '99999999999999999999999' is too large

# Keys and values in few bits: other text once they are no longer new, and none that has no end.
$ twobit run tiny.gguf -p "the end" -n 50 --temp 0 >a
$ twobit run tiny.gguf -p "the end" -n 50 --temp 0 --kv f16 | cmp - a
$ twobit run tiny.gguf -p "the end" -n 50 --temp 0 --kv k2v2 | cmp - a
$ twobit run tiny.gguf -p "the end" -n 50 --temp 0 --kv k1v1:g8:r0 --keep-sinks 0 >b; cmp -s a b
= 1
$ twobit run small.gguf -p "the end" -n 50 --kv k2v2:g8:r4 --stream 2:14 --ignore-eos -q >b; test -s b
$ for o in "--kv k2" "--kv k9v9" "--kv k2v2:g9" "--kv k2v2 --keep-sinks x" "--keep-sinks 4" \
>     "--kv k2v2 --stream 4:12 --keep-sinks 4" "--kv q8:g8:r8 --stream 4:12"; do
>     twobit run small.gguf -p a $o 2>&1 >/dev/null | head -n 1
> done
twobit: option '--kv': 'k2' is no form of a KV cache (f16, f32, q8, k4v4, k2v2:g64:r128 …)
twobit: 9 bits for keys of the KV cache are neither 1 to 8 nor 16
twobit: a group of 9 in the KV cache is not a multiple of 8
twobit: option '--keep-sinks': 'x' is not a whole number
twobit: option '--keep-sinks': all tokens are kept as they are; it goes with '--evict' or '--kv' of few bits
twobit: option '--keep-sinks': '--stream' says already how many first tokens are kept
twobit: a window of 12 tokens never has a group of 8 behind the 8 newest, which are kept as they are

# Tokens that stand out stay as they are, the first 16 of them: here each does.
$ twobit run tiny.gguf -p "the end" -n 10 --temp 0 >short
$ for o in "--dynamic-sinks 1000" "--dynamic-sinks 1"; do
>     twobit run tiny.gguf -p "the end" -n 10 --temp 0 --kv k1v1:g8:r0 --keep-sinks 0 $o >b; cmp -s short b && echo same || echo other
> done
other
same
$ for o in "--dynamic-sinks 100" "--dynamic-sinks 0.5 --kv k2v2" "--dynamic-sinks x --kv k2v2"; do
>     twobit run tiny.gguf -p a $o 2>&1 >/dev/null | head -n 1
> done
twobit: all tokens are kept as they are; '--dynamic-sinks' goes with '--kv' of few bits
twobit: option '--dynamic-sinks': 0.5 is too small, the least is 1
twobit: option '--dynamic-sinks': 'x' is not a number

# The first token's share of attention: by 1 it is what it was.
$ twobit run tiny.gguf -p "the end" -n 50 --temp 0 --sink-gamma 1 | cmp - a
$ for g in 0 0.01 1000000; do twobit run tiny.gguf -p "the end" -n 50 --temp 0 --sink-gamma $g | cmp -s - a; echo $?; done
1
1
1
$ twobit run tiny.gguf -p a --sink-gamma -1 2>&1 | head -n 1
twobit: option '--sink-gamma': -1 is too small, the least is 0

# The same head by head.
$ printf '# all but one\n0 0 1\n1 3 1\n' >ones; twobit run tiny.gguf -p "the end" -n 50 --temp 0 --sink-gamma-heads ones | cmp - a
$ printf '0 0 0\n0 1 0\n1 0 5\n1 1 0.01\n1 2 0\n' >heads
$ twobit run tiny.gguf -p "the end" -n 50 --temp 0 --sink-gamma-heads heads >b; cmp -s a b
= 1
$ for f in absent ones2 ones3; do
>     printf '0 0 1\n0 0\n' >ones2; printf '7 0 1\n' >ones3
>     twobit run tiny.gguf -p a -n 1 --sink-gamma-heads $f 2>&1 >/dev/null | head -n 1
> done
twobit: cannot open 'absent': No such file or directory
twobit: line 2 of 'ones2' is not a block, a head and a factor
twobit: there is no head 0 in block 7; the model has 2 blocks of 4 heads

# Sinks behind the first token keep a share of their attention.
$ make_tiny_model deep.gguf --blocks 5
$ twobit run deep.gguf -p "the end" -n 80 --temp 0 >b
$ twobit run deep.gguf -p "the end" -n 80 --temp 0 --sink-alpha 1 | cmp - b
$ for o in 0:t0.05 0:alike:t0.05; do
>     twobit run deep.gguf -p "the end" -n 80 --temp 0 --sink-alpha $o | cmp -s b -; echo $?
> done
1
1
$ for o in "--sink-alpha x" "--sink-alpha 2" "--sink-alpha 0.4:t0" "--sink-alpha 0.4:all" "--sink-alpha 0.4 --stream 2:6"; do
>     twobit run tiny.gguf -p a $o 2>&1 >/dev/null | head -n 1
> done
twobit: option '--sink-alpha': 'x' is not a number
twobit: option '--sink-alpha': '2' leaves tokens a share of their attention that is not 0 to 1
twobit: option '--sink-alpha': the threshold of '0.4:t0' is not above 0 and below 1
twobit: option '--sink-alpha': '0.4:all' is not a share, ALPHA[:alike][:tT]
twobit: attention is redistributed where all tokens are kept and read: not in a stream, with a budget, a head split or where keys are skipped

# What attention did is told token by token, and the text is the same.
$ twobit run tiny.gguf -p "the end" -n 50 --temp 0 --sink-log log.csv | cmp - a
$ head -n 1 log.csv; wc -l <log.csv
position,token,text,probability,sink_mass,entropy,largest
51
$ sed -n 2p log.csv
?,*,"*",0.*,0.*,?.*,*.* (glob)
$ twobit run tiny.gguf -p "the end" -n 50 --temp 0 --sink-log log1.csv --threads 1 | cmp - a; cmp log.csv log1.csv
$ twobit run tiny.gguf -p "the end" -n 50 --temp 0 --sink-gamma 0 --sink-log log.csv -q >b
$ grep -c ",0.000000,[0-9.]*,[0-9.]*$" log.csv
50
$ twobit run tiny.gguf -p "the end" -n 0 --no-prompt --sink-log log.csv; cat log.csv
position,token,text,probability,sink_mass,entropy,largest
$ mkdir folder; twobit run absent.gguf -p a --sink-log folder
! twobit: cannot write 'folder': it is a folder
= 1
$ twobit run tiny.gguf -p a --sink-log absent/log.csv
! twobit: cannot create 'absent/log.csv': No such file or directory
= 1
$ twobit run absent.gguf -p a --sink-log none.csv -q 2>/dev/null; test ! -e none.csv

# A budget for each head: the same text while it is kept, other text when not, and nothing that makes no sense.
$ for m in h2o a2sf vatp keydiff snapkv pyramid; do twobit run tiny.gguf -p "the end" -n 50 --temp 0 --evict $m:100 | cmp - a; done
$ twobit run tiny.gguf -p "the end" -n 50 --temp 0 --evict vatp:4 --keep-sinks 1 >b; cmp -s a b
= 1
# Of a long prompt less is kept, of a short one all.
$ for i in 1 2 3 4 5 6 7 8 9; do printf 'the hat and the rat '; done >long
$ twobit run tiny.gguf -f long -n 30 --temp 0 >all
$ for m in snapkv:400 pyramid:4000; do twobit run tiny.gguf -f long -n 30 --temp 0 --evict $m | cmp - all; done
$ for m in snapkv:40 pyramid:40; do twobit run tiny.gguf -f long -n 30 --temp 0 --evict $m >b; cmp -s all b || echo other; done
other
other
$ for o in "--evict h2o" "--evict best:9" "--evict h2o:x" "--evict h2o:9 --stream 2:6" "--evict h2o:4" \
>     "--evict snapkv:35" "--evict pyramid" \
>     "--evict h2o:9 --kv k2v2"; do
>     twobit run tiny.gguf -p a $o 2>&1 >/dev/null | head -n 1
> done
twobit: option '--evict': 'h2o' is not a method and a number of tokens, METHOD:BUDGET
twobit: option '--evict': eviction 'best' is none of h2o, a2sf, vatp, keydiff, snapkv and pyramid
twobit: option '--evict': 'x' is not a whole number
twobit: '--stream' drops tokens by their age; it goes without '--evict'
twobit: a budget of 4 tokens has no room for a new one behind the 4 first
twobit: a budget of 35 tokens has no room for the 4 first and the 32 last of a prompt
twobit: option '--evict': 'pyramid' is not a method and a number of tokens, METHOD:BUDGET
twobit: eviction moves tokens one by one, which those in few bits cannot

# Keys that get next to nothing need not be read.
$ twobit run tiny.gguf -p "the end" -n 50 --temp 0 --skip-mass 0 | cmp - a
$ twobit run tiny.gguf -p "the end" -n 50 --temp 0 --skip-mass 0.001 2>&1 >/dev/null | grep read
twobit: 0.0 % of the keys behind the first and in front of the newest were not read
$ for o in "--skip-mass 1" "--skip-mass x" "--skip-mass 0.1 --stream 2:6" "--skip-mass 0.1 --kv k2v2"; do
>     twobit run tiny.gguf -p a $o 2>&1 >/dev/null | head -n 1
> done
twobit: option '--skip-mass': 1 is too large, the most is 0.999
twobit: option '--skip-mass': 'x' is not a number
twobit: keys are skipped where all are kept as they are: not in a stream, in few bits or with a budget
twobit: keys are skipped where all are kept as they are: not in a stream, in few bits or with a budget

# A model of NaN is noticed.
$ make_tiny_model nan.gguf --nan; twobit run nan.gguf -p "the end" >out
! twobit: the model is broken: the logit of token 0 is nan
= 1

$ twobit run tiny.gguf
! twobit: give the text to continue either with -p or with --prompt-file
! usage: twobit run [MODEL] -p TEXT [options]
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
$ { sleep 0.5; twobit run tiny.gguf -p "the end" -n 250; echo $? >status; } | true; cat status
1
