$ make_tiny_model tiny.gguf --chat-template; make_tiny_model other.gguf --seed 2

# Keys and values of the BOS, or of a text behind it. Where a text begins with them anyway, nothing changes.
$ twobit prefix tiny.gguf -o bos.gguf
bos.gguf: keys and values of 1 token
$ twobit prefix tiny.gguf -o text.gguf -p "the end"
text.gguf: keys and values of 5 tokens
$ twobit run tiny.gguf -p "the end" -n 20 --temp 0 >a
$ twobit run tiny.gguf -p "the end" -n 20 --temp 0 --prefix-kv bos.gguf | cmp - a
$ twobit run tiny.gguf -p "the end" -n 20 --temp 0 --prefix-kv none | cmp - a
$ twobit run tiny.gguf -p "the end" -n 20 --temp 0 --prefix-kv auto | cmp - a

# A longer one stands in front of every text.
$ twobit run tiny.gguf -p "the end" -n 20 --temp 0 --prefix-kv text.gguf | cmp - a
$ for p in "" " of it" "the end of it"; do twobit run tiny.gguf -p "$p" -n 3 --prefix-kv text.gguf -v 2>&1 >b | grep -o "prompt [0-9]* tokens"; done
prompt 5 tokens
prompt 12 tokens
prompt 11 tokens
$ echo "the end" | twobit chat tiny.gguf -n 3 --prefix-kv text.gguf -q >b; test -s b

# Quantized with it in place: the file carries it, and run uses it unless it is told otherwise.
$ twobit quantize tiny.gguf -o with.gguf -m bpdq --calib-tokens 512 --prefix-kv text.gguf -q 2>/dev/null >&2
$ twobit quantize tiny.gguf -o again.gguf -m bpdq --calib-tokens 512 --prefix-kv text.gguf -q 2>/dev/null >&2; cmp with.gguf again.gguf
$ twobit quantize tiny.gguf -o without.gguf -m bpdq --calib-tokens 512 -q 2>/dev/null >&2
$ twobit info with.gguf -v | grep -o "prefix[.][ktv][a-z]* *[A-Z0-9]*" | tr -s " "
prefix.tokens I32
prefix.k F16
prefix.v F16
$ twobit run with.gguf -p " of it" -n 3 --temp 0 -v 2>&1 >b | grep -o "prompt 12 tokens"
prompt 12 tokens
$ twobit run with.gguf -p " of it" -n 3 --temp 0 -v --prefix-kv none 2>&1 >b | grep -o "prompt 8 tokens"
prompt 8 tokens
$ twobit run without.gguf -p " of it" -n 3 --prefix-kv text.gguf -v 2>&1 >b | grep -o "prompt 12 tokens"
prompt 12 tokens
$ for i in $(seq 40); do echo "the end of it, and more of the end"; done >text
$ twobit perplexity with.gguf --text text --ctx 64 --skip 4 --reference tiny.gguf --json | grep -c perplexity
2
$ twobit perplexity with.gguf --text text --ctx 64
! twobit: the model's prefix takes the place of the first 5 tokens of a window: skip 4 predictions at least
= 1

# A stream keeps it.
$ twobit run with.gguf -p " of it" -n 100 --stream 5:20 --ignore-eos -q >b; test -s b
$ twobit run with.gguf -p " of it" -n 100 --stream 4:20 --ignore-eos
! twobit: a stream keeps the model's prefix: its 5 first tokens at least, not 4
= 1

# Tokens that are searched for: a random model has no massive activations, so the BOS is left.
$ twobit prefix tiny.gguf -o found.gguf --find outliers --sequences 2 -c 64
found.gguf: keys and values of 1 token
searched    2 windows of 64 tokens; 0.0 outliers in a window, in the block that has most
tokens      "<s>"
inputs of down matrices: the largest of a token over the median, * without and * behind it (glob)
$ cmp found.gguf bos.gguf
$ twobit prefix tiny.gguf -o found.gguf --find greedy --text text --sequences 1 -c 32 | grep -c "token[s]*: rounding to 8 bits costs 0.00"
2
$ twobit run tiny.gguf -p "the end" -n 3 --prefix-kv found.gguf >b; test -s b
$ twobit prefix tiny.gguf -o x.gguf --find most 2>&1 | head -n 1
twobit: '--find most' is neither outliers nor greedy
$ twobit prefix tiny.gguf -o x.gguf --find greedy -p text 2>&1 | head -n 1
twobit: '--find' chooses the tokens: it goes without '--prompt'
$ twobit prefix tiny.gguf -o x.gguf --ratio 20 2>&1 | head -n 1
twobit: '--text', '--sequences', '--ctx' and '--ratio' say how '--find' searches
$ twobit prefix tiny.gguf -o x.gguf --find greedy -c 8
! twobit: windows of 8 tokens are not longer than a prefix, 8
= 1
$ echo hat >short; twobit prefix tiny.gguf -o x.gguf --find greedy --text short
! twobit: the text has * tokens, fewer than one window of 256 (glob)
= 1
$ twobit prefix tiny.gguf -o missing/x.gguf
! twobit: * (glob)
= 1

# What was made for another model is refused, and so is what is none.
$ twobit run other.gguf -p a --prefix-kv bos.gguf
! twobit: the prefix of 'bos.gguf' was made for another model than 'other.gguf'
= 1
$ twobit quantize other.gguf -o x.gguf -m rtn --prefix-kv bos.gguf
! twobit: the prefix of 'bos.gguf' was made for another model than 'other.gguf'
= 1
$ twobit run tiny.gguf -p a --prefix-kv other.gguf
! twobit: 'other.gguf' has no prefix
= 1
$ twobit run tiny.gguf -p a --prefix-kv missing
! twobit: cannot open 'missing': No such file or directory
= 1
$ twobit prefix tiny.gguf 2>&1 | head -n 1
twobit: give the file to write with -o
$ twobit prefix tiny.gguf -o bos.gguf -p "$(cat text)"
! twobit: a prefix has 1 to 4096 tokens and leaves room in the context, not * (glob)
= 1
