# A text that is easy to learn.
$ for i in 1 2 3 4 5 6 7 8 9; do for a in cat dog hen; do echo "The $a sat on the mat $i. The $a ran to the hat. <|endoftext|>"; done; done >text

$ twobit train text -o model --layers 1 --dim 32 --heads 2 --ctx 16 --vocab 300 --steps 30 --batch 4 --rate 0.01 --measure-every 10 -t 2
steps       30, weights of step * (glob)
loss        * nats per token in the last batch (glob)
held out    * nats per token, * bits per byte (glob)
speed       * tokens/s (glob)
! twobit: training * weights on * tokens, * held out; vocabulary of 291, seed 0 (glob)
! twobit: step 10 of 30: loss *, held out *, * tokens/s (glob)
! twobit: step 20 of 30: loss *, held out *, * tokens/s (glob)
! twobit: step 30 of 30: loss *, held out *, * tokens/s (glob)
$ ls model
config.json
model.safetensors
tokenizer.json
tokenizer_config.json

# What it wrote opens everywhere.
$ twobit info model | grep context
text          291 tokens in the vocabulary, context of 16, head tied to the embedding
$ twobit run model -p "The cat" -n 4 --temp 0 -q >said; grep -c "The cat" said
1
$ twobit perplexity model --text text --ctx 16 --json | grep windows
  "windows": *, (glob)
$ twobit quantize model -o model.gguf -m rtn --bits 4 -q >log 2>&1; twobit run model.gguf -p "The hen" -n 4 -q >said; grep -c "The hen" said
1

# In half the bytes.
$ twobit train text -o halves --layers 1 --dim 32 --heads 2 --ctx 16 --vocab 300 --steps 30 --batch 4 --rate 0.01 --store f16 -q >/dev/null
> twobit info halves | grep -c F16; twobit run halves -p "The cat" -n 4 -q >said; grep -c "The cat" said
1
1

# What probes see is told.
$ twobit train text -o seen --layers 1 --dim 32 --heads 2 --ctx 16 --steps 4 --batch 2 --probe-every 2 2>&1 >/dev/null | grep position
twobit: step 2: weight of the first position 0.* in the strongest head, above 0.3 in * % of the heads; largest activation *, kurtosis *; gradient * at the first position, * elsewhere (glob)
twobit: step 4: * (glob)

# Killed, it goes on to the same file, whatever the number of threads.
$ twobit train text -o a --layers 1 --dim 32 --heads 2 --ctx 16 --steps 60 --batch 4 --checkpoint-every 3 -q -t 1 >/dev/null
$ twobit train text -o b --layers 1 --dim 32 --heads 2 --ctx 16 --steps 60 --batch 4 --checkpoint-every 3 -q -t 2 >/dev/null &
> while [ ! -f b.partial/state.safetensors ] && [ ! -d b ]; do sleep 0.05; done; kill -9 $!; wait $! 2>/dev/null
> twobit train text -o b --layers 1 --dim 32 --heads 2 --ctx 16 --steps 60 --batch 4 --checkpoint-every 3 -q -t 2 2>/dev/null >/dev/null
> cmp a/model.safetensors b/model.safetensors

# A disk that fills leaves the last good state.
$ twobit train text -o c --layers 1 --dim 32 --heads 2 --ctx 16 --steps 60 --batch 4 --checkpoint-every 3 -q >/dev/null &
> while [ ! -f c.partial/state.safetensors ] && [ ! -d c ]; do sleep 0.05; done; kill -9 $!; wait $! 2>/dev/null
> cp c.partial/state.safetensors kept
> (ulimit -f 20; twobit train text -o c --layers 1 --dim 32 --heads 2 --ctx 16 --steps 60 --batch 4 --checkpoint-every 3 -q)
! twobit: cannot write 'c.partial/*.safetensors': File too large (glob)
= 1
$ cmp kept c.partial/state.safetensors && ls c.partial | grep -c tmp
0
= 1

# Another training does not go on from there.
$ twobit train text -o c --layers 1 --dim 64 --heads 2 --ctx 16 --steps 60 --batch 4 -q
! twobit: 'c.partial/state.safetensors' belongs to a training with other options or another text; remove its folder to begin anew
= 1
$ head -c 90 kept >c.partial/state.safetensors; twobit train text -o c --layers 1 --dim 32 --heads 2 --ctx 16 --steps 60 -q
! twobit: * (glob)
= 1

# What cannot be.
$ echo short >short; twobit train short -o d --ctx 64 -q
! twobit: the training text has 6 tokens, fewer than one window of 64
= 1
$ twobit train text -o model
! twobit: 'model' is there already; remove it or choose another name
= 1
$ twobit train missing -o d
! twobit: cannot open 'missing': No such file or directory
= 1
$ twobit train text -o nowhere/d --ctx 16 -q
! twobit: cannot create 'nowhere/d.partial': No such file or directory
= 1
$ twobit train -o d
! twobit: the text is missing
! usage: twobit train TEXT… -o DIR [options]
! 'twobit help train' explains the options
= 2
$ twobit train text
! twobit: option '--output' is missing
! usage: twobit train TEXT… -o DIR [options]
! 'twobit help train' explains the options
= 2
$ twobit train text -o d --attn hard
! twobit: unknown value 'hard' of option '--attn'; use softmax, softmax1, sink, clip, sigmoid, relu, softpick or elastic
! usage: twobit train TEXT… -o DIR [options]
! 'twobit help train' explains the options
= 2
$ twobit train text -o d --heads 3 --kv-heads 2 --dim 48
! twobit: 3 heads cannot share 2 heads of keys
! usage: twobit train TEXT… -o DIR [options]
! 'twobit help train' explains the options
= 2
$ twobit train text -o d --vocab 100
! twobit: a vocabulary needs 257 tokens at least, not 100
= 1
