# The commands of `twobit sink`.

$ twobit sink
! twobit sink: attention sinks: where they are, what makes them
! Usage: twobit sink COMMAND [arguments]
! Commands:
!   map         show which heads spend their attention on the first token
!   massive     show the massive activations and the channels they live in
!   super       find the single weights that make massive activations
!   value       show what the first token's value is worth to its heads
!   entropy     show how spread attention is and how heavy activations are
!   positions   show which tokens become sinks
!   heads       show head by head what it does with the first token
!   geometry    show where keys point and how many directions the stream uses
!   ablate      show what happens without the sinks: experiments on causes
!   gamma       show what more or less attention on the first token does
!   prune       show which heads the model can do without
!   split       find the heads that read far, and store them
!   report      tell the story of a model's sinks on one HTML page
! 'twobit help sink COMMAND' says more about each.
= 2
$ for c in map massive super value entropy positions heads geometry ablate gamma prune split report; do
>     twobit help sink $c >a && twobit sink $c --help >b && cmp a b && sed -n 3p a
> done | uniq -c | tr -s ' '
 13 Examples:

$ make_tiny_model tiny.gguf --blocks 3; make_tiny_model other.gguf --blocks 3 --seed 5
$ twobit sink map tiny.gguf
model      tiny.gguf: llama, 3 blocks of 4 heads on 2 KV heads
protocol   held-out text of twobit, raw: 100 sequences of T = 64 tokens, BOS in the place of the first; ε = 0.3, seed 0; took * (glob)
       α_0 of its heads  mean
block  (blank: 0, @: 1)   α_0
    0  |    |            0.0* (glob)
    1  |    |            0.0* (glob)
    2  |    |            0.0* (glob)
mean over all heads                 model  uniform heads
mean α_0                           0.0*  0.0741 (glob)
Sink_0 (α_0 > ε)                    0.0 %          0.0 %
Sink_* (α_k > ε for some k)         0.0 %          0.0 %
first-token share (queries i ≥ 1)  * % * (glob)
first token has the most weight    * % * (glob)
weight on a sink logit              0.0 %          0.0 %
entropy, nats * (glob)
entropy of its largest             * %        100.0 % (glob)
$ twobit sink massive tiny.gguf --bos never --ctx 16 --sequences 5 | grep -v -e '^ ' -e '^stage'
model      tiny.gguf: llama, 3 blocks of 4 heads on 2 KV heads
protocol   held-out text of twobit, raw: 5 sequences of T = 16 tokens, no BOS; ε = 0.3, seed 0; took * (glob)
no massive activations by either rule

# Objects, the same for any number of threads.
$ twobit sink map tiny.gguf --json --reference other.gguf --seed 3 >json; keys <json
bos ctx epsilon input map model reference reference_map registers seconds seed sequences text
$ grep -o '^    "[a-z0-9_]*"' json | sort | uniq -c | tr -d ' "' | paste -sd ' ' -
2alpha_0 2alpha_0_uniform 2alpha_text 2argmax_first 2entropy 2entropy_share 2first_share 2heads 2sink_0 2sink_any 2sink_logit
$ grep -c '"strongest"' json
24
$ twobit sink massive tiny.gguf --json >json; keys <json
bos ctx epsilon input massive model reference registers seconds seed sequences text
$ grep -o '^    "[a-z0-9_]*"' json | tr -d ' "' | sort | paste -sd ' ' -
appearance channels dissipation emergence largest rule stable_first stable_last stages
$ twobit sink value tiny.gguf --json | grep -o '^ *"[a-z_]*"' | tr -d ' "' | sort | uniq -c | tr -s ' ' | paste -sd ' ' -
 12 bias_cos  12 bias_cv  12 bias_share  1 bos  1 ctx  1 epsilon  12 fast_cos  1 heads  1 input  12 key_norm  12 key_ratio  1 model  12 query_cos  12 query_norm  1 reference  1 registers  12 role  1 seconds  1 seed  1 sequences  12 slow_cos  12 still_cos  1 text  12 unturned_cos  1 value  12 value_ratio
$ twobit sink entropy tiny.gguf --json | grep -o '^ *"[a-z0-9_]*"' | tr -d ' "' | sort | uniq -c | tr -s ' ' | paste -sd ' ' -
 3 attention_input  1 blocks  1 bos  1 ctx  3 down_input  5 entropy  4 entropy_share  1 epsilon  3 ffn_input  1 input  3 key  21 kurt_rms  21 kurt_tensor  21 kurt_tok_first  21 kurt_tok_rest  21 largest  1 model  1 outliers_6  1 outliers_6_sigma  3 output_input  1 reference  1 registers  1 seconds  1 seed  1 sequences  3 sites  3 stream  1 text  3 value
$ twobit sink positions tiny.gguf --json >json; grep -o '^    "[a-z_]*"' json | tr -d ' "' | sort | paste -sd ' ' -; grep class json
class first massive_at others sinks_at tokens
    "class": "no sinks",
$ twobit sink super tiny.gguf
model      tiny.gguf: llama, 3 blocks of width 64, feed-forward 96
protocol   "Apple Inc. is a worldwide tech company.": * tokens, BOS in front; spikes above 50 (glob)
no super weights
largest input of a down matrix * (block ?), largest output * (block ?) (glob)
$ twobit sink super tiny.gguf --json --spike 0.01 --most 3 -p "Another text" >json; keys <json; grep -c '"weight"' json
blocks bos complete model prompt spike weights
3
$ twobit sink super tiny.gguf --spike 0.01 --most 1 -p "Another text" | sed -n 4p
block  row  column * token (glob)
$ cp -r "$models/qwen3_moe" moe && cp "$models"/qwen2/tokenizer*.json moe
$ twobit sink super moe
model      moe: qwen3moe, 2 blocks of width 64, 6 experts
protocol   "calibration text of twobit": 64 tokens, no BOS
no super experts
largest output of an expert *; super experts are above *; 0 of 12 experts saw no token (glob)
$ twobit sink super moe --json -p "the end" >json; keys <json
bos experts largest model outputs prompt threshold unseen
$ twobit sink geometry tiny.gguf --sequences 4 --json >json; grep -o '^    "[a-z_]*"' json | tr -d ' "' | sort | paste -sd ' ' -; grep -c '"rank"' json; grep -c '"response_hidden"' json; grep -c '"spearman"' json; grep -c '"stable_rank"' json
attention_updates key_cos stages
4
4
6
3
$ twobit sink geometry tiny.gguf --sequences 4 | tail -n 1 | tr -s ' '
 3 * % * % * %* (glob)
$ twobit sink heads tiny.gguf --json | grep -c '"role": "reads"'
12
$ twobit sink heads tiny.gguf | tail -n 1
of 12 heads: 12 reads, 0 no-op, 0 mixed, 0 broadcast; 0 dormant
$ twobit sink ablate tiny.gguf --sequences 2 --ctx 16 | sed -n '/^ *what/,$p' | tr -s ' '
 what is changed perplexity times KL max |h| Sink_0 Sink_* share of 0 α_T/4
 nothing * 0.0000 * (glob)
C1 first token: BOS or not, the other way round * (glob)
C2 position 0 hidden from later queries * 0.0 % * (glob)
C3 value of position 0 to 0 * (glob)
C4 massive activations to 0 - - - - - - - -
C5 massive activations to their mean - - - - - - - -
C6 as many median ones to 0 - - - - - - - -
C7 no feed-forward output at position 0 - - - - - - - -
C8 super weights to 0 - - - - - - - -
C9a stream: last T/4 tokens * - - - - (glob)
C9b stream: first 4 and last T/4 tokens * - - - - (glob)
C10 key and value of position 0 from another text * same bits 0.0000 * (glob)
C11a dormant heads to 0 - - - - - - - -
C11b as many other heads to 0 - - - - - - - -
C12 first token: a random one * (glob)
move streams of positions 0 and T/4 change places - - - - - - - -
there are no massive activations
$ twobit sink ablate tiny.gguf --sequences 2 --json >json; keys <json; grep -c '"id"' json; grep -c '"perplexity"' json
ablate bos ctx epsilon input model reference registers seconds seed sequences text
16
8

# Factors of the first token, and heads taken out: 1 changes nothing.
$ twobit sink gamma tiny.gguf --sequences 2 --ctx 16 --gammas 0,1,3 | sed -n '/^ *factor/,$p' | tr -s ' '
factor perplexity more, nats KL entropy of the output
 0 * ± * (glob)
 1 * +0.0000 ± 0.0000 0.0000 * (glob)
 3 * ± * (glob)
least perplexity with *, least entropy of the output with * (glob)
$ twobit sink gamma tiny.gguf --sequences 2 --json >json; keys <json; grep -c '"gamma": [0-9]' json
bos ctx epsilon gamma input model reference registers seconds seed sequences text
7
$ twobit sink prune tiny.gguf --sequences 2 --ctx 16 --shares 0.1,0.5 | sed -n '/^ *heads/,$p' | tr -s ' '
heads of all least share more by sink more by norm more by chance
 1 8.3 % 0.* (glob)
 6 50.0 % 0.* (glob)
0 of 12 heads are dormant; perplexity of the untouched model * (glob)
$ twobit sink prune tiny.gguf --sequences 2 --json >json; keys <json; grep -c '"norm"' json
bos ctx epsilon input model prune reference registers seconds seed sequences text
4
$ twobit sink gamma tiny.gguf --sequences 1 --gammas 1 | grep -c '+0.0000  *0.0000' # of one sequence there is no error
1
$ for c in gamma prune; do twobit sink $c tiny.gguf --ctx 60000 2>&1 | head -n 1; done
twobit: sequences of 60000 tokens are longer than the model's context of 256
twobit: sequences of 60000 tokens are longer than the model's context of 256
$ for o in "gamma --gammas 1,-1" "gamma --gammas x" "prune --shares 0" "prune --shares 0.5,1"; do
>     set -- $o; c=$1; shift; twobit sink $c tiny.gguf $* 2>&1 | head -n 1
> done
twobit: option '--gammas': -1 is no factor; it is at least 0 and at most 1e+06
twobit: option '--gammas': 'x' is not a number
twobit: option '--shares': 0 is no share of the heads; it is above 0 and below 1
twobit: option '--shares': 1 is no share of the heads; it is above 0 and below 1
$ for c in map massive value entropy positions heads geometry; do for t in 1 3; do
>     twobit sink $c tiny.gguf --input random --sequences 8 --json -t $t | grep -v seconds >$t
> done; cmp 1 3; done

# Registers stand in front of every text, and the first of them is the first token.
$ for i in 1 2 3 4 5 6 7 8 9; do echo "The cat sat on the mat. The dog ran to the hat."; done >text
> twobit train text -o model --layers 2 --dim 32 --heads 2 --ctx 16 --vocab 300 --registers 2 --steps 3 --batch 2 -q >/dev/null
$ twobit sink map model --ctx 16 --sequences 2 --text text | grep -e ^registers -e "text's"
registers  2 at the positions in front of the text: "first token" means the first of them
mean α of the text's first token * (glob)
$ twobit sink positions model --ctx 16 --sequences 2 --text text --epsilon 0.001 --json >json
> grep -c -e '"token": -1' -e '"token": -2' json; grep registers json
2
  "registers": 2,
$ twobit sink positions model --ctx 16 --sequences 2 --text text --epsilon 0.001 | grep -c 'register 1'
1
$ for c in massive value entropy heads geometry ablate; do
>     twobit sink $c model --ctx 16 --sequences 2 --text text | grep -c ^registers
> done | uniq -c | tr -s ' '
 6 1
$ twobit sink super model --spike 0.01 --most 1 | sed -n 3,4p
block  row  column * token (glob)
$ twobit sink report model --ctx 16 --sequences 2 --text text --experiments 1 -o page.html; grep -o 'behind registers' page.html
behind registers

# Pictures, where gnuplot is installed.
$ command -v gnuplot >/dev/null || exit 0
> for c in map massive; do
>     twobit sink $c tiny.gguf --reference other.gguf --plot $c.svg >/dev/null; test -s $c.svg || echo "no $c.svg"
>     draws $c.svg
> done

# The page: whole, without anything from outside, its texts escaped.
$ cp tiny.gguf 'a<b>&.gguf'
$ twobit sink report 'a<b>&.gguf' --reference other.gguf --sequences 4 --ctx 16 --experiments 1 -o page.html
$ grep -c '<h2>' page.html; grep -c '<h2>Did it survive' page.html; tail -n 1 page.html; grep '<html' page.html
7
1
</body></html>
<html lang='en'><head><meta charset='utf-8'><title>Attention sinks of a&lt;b&gt;&amp;.gguf</title>
$ grep -e 'src=' -e 'href=' -e '@import' -e 'url(' -e 'http' page.html
= 1
$ twobit sink report tiny.gguf --sequences 4 --ctx 16 --experiments 0 -o page.html; grep -c '<h2>' page.html
5
$ twobit sink report tiny.gguf 2>&1 | head -n 1
twobit: no output is given; use -o FILE.html
$ twobit sink report tiny.gguf --json -o page.html 2>&1 | head -n 1
twobit: 'sink report' writes a page; the other commands have --json
$ twobit sink report tiny.gguf -o nowhere/page.html 2>&1
twobit: cannot * 'nowhere/page.html*': No such file or directory (glob)
= 1

# What cannot be.
$ twobit sink map tiny.gguf --input best 2>&1 | head -n 1
twobit: unknown input 'best'; use natural, random or repeat
$ twobit sink map tiny.gguf --bos maybe 2>&1 | head -n 1
twobit: unknown BOS policy 'maybe'; use auto, always or never
$ twobit sink map tiny.gguf --input random --text x 2>&1 | head -n 1
twobit: --text and --input random exclude each other
$ echo short >short; twobit sink map tiny.gguf --text short
! twobit: the text has * tokens and fills no sequence of 64 (glob)
= 1
$ twobit sink map tiny.gguf --ctx 4096
! twobit: sequences of 4096 tokens are longer than the model's context of * (glob)
= 1
$ make_tiny_model nan.gguf --nan; twobit sink massive nan.gguf
! twobit: the model is broken: its logits are not finite
= 1
$ make_tiny_model short.gguf --blocks 2; twobit sink map tiny.gguf --reference short.gguf
! twobit: the reference has another shape: 2 blocks of 4 heads on 2 KV heads, the model 3 of 4 on 2
= 1
$ twobit sink map missing.gguf
! twobit: cannot open 'missing.gguf': No such file or directory
= 1

# Heads that read far.
$ make_tiny_model long.gguf --context 600
$ twobit sink split long.gguf -o heads.json --prompts 2
measured   2 texts of 600 tokens that end in a question, 4 plain ones
heads.json: the scores of 4 KV heads

block  KV head  recall    leak   score
    * (glob)
    * (glob)
    * (glob)
    * (glob)
$ twobit sink split long.gguf -o again.json --prompts 2 --threads 1 --json | keys
ctx heads model prompts seed texts
$ cmp heads.json again.json
$ twobit sink split long.gguf
! twobit: give the file to write with -o
! usage: twobit sink split MODEL -o FILE [options]
! 'twobit help sink split' explains the options
= 2
$ for o in "-c 601" "-c 100" "--text nothing" "-c 1"; do twobit sink split long.gguf -o none.json $o 2>&1 >/dev/null | head -n 1; done; test -e none.json
twobit: texts of 601 tokens are longer than the model's context of 600
twobit: prompts of 100 tokens have no room for 401 of questions and answers
twobit: cannot open 'nothing': No such file or directory
twobit: option '--ctx': 1 is too small, the least is 8
= 1

# With all heads, or while nothing is left away, the text is what it was; else another one.
$ for i in 1 2 3 4 5 6 7 8 9; do printf 'the hat and the rat '; done >text
$ twobit run long.gguf -f text -n 30 --temp 0 >all
$ for s in :1 :0.5:300:300 :1:0:1; do twobit run long.gguf -f text -n 30 --temp 0 --head-split heads.json$s | cmp - all; done
$ twobit run long.gguf -f text -n 30 --temp 0 --head-split heads.json:0:1:4 >b; cmp -s all b
= 1
$ twobit perplexity long.gguf --ctx 128 --max-tokens 256 --head-split heads.json:0.5:2:8 --reference long.gguf --json | grep -e memory -e '"kl_mean": 0.0,'
  "memory": "--head-split heads.json:0.5:2:8",
$ make_tiny_model chat.gguf --chat-template --context 600; twobit sink split chat.gguf -o chat.json --prompts 1 >/dev/null
$ echo hello | twobit chat chat.gguf -n 4 --head-split chat.json:0.5:2:8 --temp 0 -q | wc -l
1
$ for o in heads.json:2 heads.json:0.5:1 heads.json:0:1:0 text nothing; do
>     twobit run long.gguf -p a --head-split $o 2>&1 >/dev/null | head -n 1
> done
twobit: option '--head-split': a share of 2 heads is not between 0 and 1
twobit: option '--head-split': 'heads.json:0.5:1' is not FILE, FILE:SHARE or FILE:SHARE:S:W
twobit: option '--head-split': a head cannot see the first 1 and the last 0 tokens: 1 to 16777216 are the last
twobit: option '--head-split': 'text' is not valid JSON: line 1: '[' or '{' expected near 'the'
twobit: option '--head-split': cannot open 'nothing': No such file or directory
$ twobit run other.gguf -p a --head-split heads.json
! twobit: option '--head-split': the head split of 'heads.json' was made for another model than 'other.gguf'
= 1
$ for o in "--stream 2:6" "--kv k2v2" "--evict h2o:40" "--skip-mass 0.1"; do
>     twobit run long.gguf -p a --head-split heads.json $o 2>&1 >/dev/null | head -n 1
> done | uniq
twobit: a head split goes with tokens that are kept as they are: not with a stream, few bits, a budget or keys that are not read
