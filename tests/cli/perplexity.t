$ make_tiny_model tiny.gguf
$ make_tiny_model other.gguf --seed 2
$ for i in 1 2 3 4 5 6 7 8; do echo "the hat and the rat are on the tent in the east $i"; done >text

$ twobit perplexity tiny.gguf --text text --ctx 64
perplexity  * ± * (* nats per token, 189 predictions) (glob)
protocol    text: 3 windows of 64 tokens that do not overlap, BOS in the place of the first,
            predictions at positions 0 to 62 of each scored; took * (glob)

$ twobit perplexity tiny.gguf --text text --ctx 64 --json >a; keys <a
act bos ctx memory nll nll_stderr perplexity seconds skip stderr tokens windows
$ twobit perplexity tiny.gguf --text text --ctx 64 --threads 1 --json | grep nll >b; grep nll a | cmp - b
$ twobit perplexity tiny.gguf --text - --ctx 64 --json <text | grep nll | cmp - b

# Against another model; against itself nothing is lost.
$ twobit perplexity tiny.gguf --text text --ctx 64 --reference other.gguf --json | keys
act bos ctx kl_max kl_mean kl_p99 kl_stderr memory nll nll_stderr perplexity reference_nll reference_perplexity seconds skip stderr tokens top1_agreement windows
$ twobit perplexity tiny.gguf --text text --ctx 64 --reference tiny.gguf --json | grep -e kl_ -e top1
  "kl_mean": 0.0,
  "kl_stderr": 0.0,
  "kl_p99": 0.0,
  "kl_max": 0.0,
  "top1_agreement": 1.0,

# A stream: one sequence, and a curve. As long as it drops nothing it is the text without one.
$ twobit perplexity tiny.gguf --text text --stream 4:16 --ctx 20 --json >a; grep -c '"first"' a; grep -e dropped -e windows a
12
  "windows": 12,
  "dropped": 220,
$ twobit perplexity tiny.gguf --text text --stream 1:60 --ctx 20 | grep -e ^stream -e drop
stream      text: one sequence, BOS in the place of its first token,
            --stream 1:60 dropped 179 tokens; 12 pieces of 20 predictions; took * (glob)
$ twobit perplexity tiny.gguf --text text --stream 1:250 --max-tokens 200 --ctx 20 --reference tiny.gguf --json | grep -e kl_max
  "kl_max": 0.0,
$ twobit perplexity tiny.gguf --text text --stream 4:16 --skip 3 2>&1 | head -n 1
twobit: a stream has no windows: it goes without '--skip'
$ twobit perplexity tiny.gguf --text text --plot a.svg 2>&1 | head -n 1
twobit: '--plot' shows the curve of a stream: it needs '--stream'
$ twobit perplexity tiny.gguf --text text --stream 4:16 --plot a.txt
! twobit: * (glob)
= 1
$ twobit perplexity tiny.gguf --text text --stream 4:253 --ctx 20
! twobit: a stream of 4 + 253 tokens is longer than the 256 that the model was trained for
= 1

# A budget beside a reference that keeps everything.
$ twobit perplexity tiny.gguf --text text --ctx 64 --evict h2o:12 --reference tiny.gguf --json | grep -c '"kl_mean": 0.0,'
0
= 1
$ twobit perplexity tiny.gguf --text text --ctx 64 --evict keydiff:64 --reference tiny.gguf --json | grep -c '"kl_mean": 0.0,'
1

# A budget of a prompt, which is what is not scored: half of a window, or as many as one says.
$ twobit perplexity tiny.gguf --text text --ctx 90 --evict snapkv:40 | grep -e scored -e memory
            predictions at positions 45 to 88 of each scored; took * (glob)
memory      --evict snapkv:40
$ twobit perplexity tiny.gguf --text text --ctx 90 --evict pyramid:40 --reference tiny.gguf --json | grep -c '"kl_mean": 0.0,'
0
= 1
$ twobit perplexity tiny.gguf --text text --ctx 90 --skip 40 --evict snapkv:40 --reference tiny.gguf --json | grep -e '"kl_mean": 0.0,' -e '"skip"'
  "skip": 40,
  "kl_mean": 0.0,
$ twobit perplexity tiny.gguf --text text --ctx 90 --skip 41 --evict snapkv:40 --reference tiny.gguf --json | grep -c '"kl_mean": 0.0,'
0
= 1

# Keys and values in few bits beside a reference that keeps them as floats. What is new stays as it is.
$ twobit perplexity tiny.gguf --text text --ctx 64 --kv k2v2:g8:r0 --keep-sinks 0 --reference tiny.gguf --json | grep -c '"kl_mean": 0.0,'
0
= 1
$ twobit perplexity tiny.gguf --text text --ctx 64 --kv f32 --reference tiny.gguf --json | grep kl_max
  "kl_max": 0.0,

$ twobit perplexity tiny.gguf --text text --ctx 64 --kv q8 --sink-gamma 0.5 | grep ^memory
memory      --kv q8 --sink-gamma 0.5

# Only whole windows count.
$ twobit perplexity tiny.gguf --text text --ctx 64 --max-tokens 130 --skip 32 --json | grep -e tokens -e windows
  "tokens": 62,
  "windows": 2,

$ twobit perplexity tiny.gguf --text text --ctx 63 --skip 62
! twobit: no prediction is left in windows of 63 tokens when 62 are skipped
= 1
$ twobit perplexity tiny.gguf --text text --ctx 257
! twobit: windows of 257 tokens are longer than the model's context of 256
= 1
$ echo short >short; twobit perplexity tiny.gguf --text short
! twobit: 6 tokens of text do not fill one window of 256
= 1
$ twobit perplexity tiny.gguf --text missing
! twobit: cannot open 'missing': No such file or directory
= 1
$ make_tiny_model nan.gguf --nan; twobit perplexity nan.gguf --text text --ctx 64
! twobit: the model is broken: its logits are not finite
= 1
$ twobit perplexity tiny.gguf --text text --ctx 64 --reference nan.gguf
! twobit: the reference is broken: its logits are not finite
= 1

# Activations in few bits, beside a reference that has them as they are; in windows and in streams.
$ twobit perplexity tiny.gguf --text text --ctx 64 --act a8:token --reference tiny.gguf --json >a; grep -e '"act"' -e reference_perp a; grep -c '"kl_mean": 0.0,' a
  "act": "a8:token",
  "reference_perplexity": * (glob)
0
= 1
$ cat text text >twice; twobit perplexity tiny.gguf --text text --ctx 64 --act a8:static --act-text twice | grep ^inputs
inputs      rounded: a8:static
$ twobit perplexity tiny.gguf --text text --stream 4:16 --ctx 20 --act a4:static --json | grep '"act"'
  "act": "a4:static",
$ twobit perplexity tiny.gguf --text text --ctx 64 --act a8:static --threads 1 --json | grep nll >a
$ twobit perplexity tiny.gguf --text text --ctx 64 --act a8:static --threads 3 --json | grep nll | cmp - a
$ twobit perplexity tiny.gguf --text text --act a9:token
! twobit: option '--act': 'a9:token' is none of a2:token … a8:token, a2:static … a8:static
! usage: twobit perplexity * (glob)
! 'twobit help perplexity' explains the options
= 2
$ twobit perplexity tiny.gguf --text text --act a8:token --act-text text 2>&1 | head -n 1
twobit: '--act-text' says the scales of a static '--act'
$ twobit perplexity tiny.gguf --text text --act-text text 2>&1 | head -n 1
twobit: '--act-text' says the scales of a static '--act'
$ echo hat >short; twobit perplexity tiny.gguf --text text --act a8:static --act-text short
! twobit: calibration of activations: the text has * tokens, fewer than one window of 256 (glob)
= 1
$ twobit perplexity tiny.gguf --text text --act a8:static --act-text none.txt
! twobit: * (glob)
= 1
