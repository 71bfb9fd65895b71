$ make_tiny_model tiny.gguf
$ twobit compare tiny.gguf --methods rtn:2,bpdq:3:32 --calib-tokens 256 --max-tokens 1024 >table 2>err; cat table
                 bytes of  bits per weight * (glob)
recipe     the whole file   of the linears * (glob)
original          403,360           32.000 * ± * - * - * - * - * - (glob)
rtn:2              71,* 2.383  * ± * % * MiB (glob)
bpdq:3:32          91,* 5.000  * ± * % * MiB (glob)
Perplexity ± standard error; divergence is KL from the original in nats per token. Windows do not overlap.
held-out (comes with twobit): 4 windows of 256 tokens, positions 0 to 254 scored, 1,020 predictions.
Calibration: calibration text of twobit, seed 0. Machine: * threads, kernels * (glob)
The files are in '*/.cache/twobit/compare'. (glob)
$ grep -v warning err
twobit: quantizing tiny with rtn:2 (1 of 2)
twobit: quantizing tiny with bpdq:3:32 (2 of 2)
twobit: measuring tiny on held-out: 3 of 3 models, 4 windows of 256 tokens

# A second run uses what is there; another candidate is added to it, and more of the text.
$ twobit compare tiny.gguf --methods rtn:2,bpdq:3:32 --calib-tokens 256 --max-tokens 1024 >again; cmp table again
$ twobit compare tiny.gguf --methods rtn:2,ptqtp --calib-tokens 256 --max-tokens 1024 2>&1 >/dev/null | grep -v warning
twobit: quantizing tiny with ptqtp (2 of 2)
twobit: measuring tiny on held-out: 1 of 3 models, 4 windows of 256 tokens
$ twobit compare tiny.gguf --methods rtn:2 --calib-tokens 256 --max-tokens 1536 --speed 2>&1 >sped | grep -v warning
twobit: measuring tiny on held-out: 2 of 2 models, 6 windows of 256 tokens
$ grep -c tokens/s sped
1

# Another text is measured with the same files; another model of that name is another model.
$ head -c 4000 err table again table table table | tr -d '>=<' >text; cat table table table >>text
$ twobit compare tiny.gguf --methods rtn:2 --calib-tokens 256 --text text 2>&1 >/dev/null
twobit: measuring tiny on text: 2 of 2 models, * windows of 256 tokens (glob)
$ twobit compare tiny.gguf --methods rtn:2 --calib-tokens 256 --text a=text --text held-out --json 2>/dev/null >json
> grep -o '"text": "[a-z-]*"' json | sort | uniq -c | tr -s ' '
 2 "text": "a"
 2 "text": "held-out"
$ twobit compare tiny.gguf --methods rtn:2 --text x=- <text 2>/dev/null | grep -c '^x (-): '
1
$ make_tiny_model tiny.gguf --seed 2; twobit compare tiny.gguf --methods rtn:2 --max-tokens 512 2>&1 >/dev/null | grep -v warning
twobit: quantizing tiny with rtn:2 (1 of 1)
twobit: measuring tiny on held-out: 2 of 2 models, 2 windows of 256 tokens

# A damaged model is made again; one that has been renamed is found.
$ for f in ../home/.cache/twobit/compare/tiny-rtn*.gguf; do echo x >>$f; done
> twobit compare tiny.gguf --methods rtn:2 --max-tokens 512 2>&1 >/dev/null | grep -v warning
twobit: quantizing tiny with rtn:2 (1 of 1)
$ (cd ../home/.cache/twobit/compare && for f in tiny-rtn*.gguf; do mv $f other-$f; done)
> twobit compare tiny.gguf --methods rtn:2 --max-tokens 512 2>&1 >/dev/null
$ twobit compare tiny.gguf --methods rtn:2 --max-tokens 512 --fresh 2>&1 >/dev/null | grep -v warning
twobit: quantizing tiny with rtn:2 (1 of 1)
twobit: measuring tiny on held-out: 2 of 2 models, 2 windows of 256 tokens

# Two models, two texts, rules that share their scores, a file that somebody else made.
$ make_tiny_model one.gguf --blocks 4; make_tiny_model two.gguf --blocks 4 --seed 2; twobit quantize one.gguf -o small.gguf -m rtn >/dev/null 2>&1
$ cat >grid.json <<END
> {"models": [{"name": "first", "file": "one.gguf", "also": ["small.gguf"]}, "two.gguf"],
>  "texts": ["held-out", {"name": "notes", "file": "text"}], "max-tokens": 512,
>  "recipes": ["rtn+lieq=2.5", "rtn+reversed=2.5", {"method": "rtn", "allocate": "random", "avg-bits": 2.5, "seed": 1}, "rtn:3"]}
> END
> twobit compare --grid grid.json --work lab --csv all.csv --markdown all.md 2>&1 >out | grep -v -e warning -e quantizing
twobit: scoring the blocks of first for rtn+lieq=2.5
twobit: measuring first on held-out: * of 6 models, 2 windows of 256 tokens (glob)
twobit: measuring first on notes: * of 6 models, 2 windows of 256 tokens (glob)
twobit: scoring the blocks of two for rtn+lieq=2.5
twobit: measuring two on held-out: * of 5 models, 2 windows of 256 tokens (glob)
twobit: measuring two on notes: * of 5 models, 2 windows of 256 tokens (glob)
$ cut -d , -f 1-3 all.csv
model,recipe,text
first,original,held-out
first,original,notes
first,rtn+lieq=2.5,held-out
first,rtn+lieq=2.5,notes
first,rtn+reversed=2.5,held-out
first,rtn+reversed=2.5,notes
first,rtn+random=2.5+seed=1,held-out
first,rtn+random=2.5+seed=1,notes
first,rtn:3,held-out
first,rtn:3,notes
first,small,held-out
first,small,notes
two,original,held-out
two,original,notes
two,rtn+lieq=2.5,held-out
two,rtn+lieq=2.5,notes
two,rtn+reversed=2.5,held-out
two,rtn+reversed=2.5,notes
two,rtn+random=2.5+seed=1,held-out
two,rtn+random=2.5+seed=1,notes
two,rtn:3,held-out
two,rtn:3,notes
$ grep -c '^| ' all.md; twobit compare --grid grid.json --work lab --json 2>err >json; cat err; keys <json
13
folder models protocol rows texts
$ twobit compare two.gguf --grid grid.json --work lab --also small.gguf -m rtn:3 --text notes=text 2>/dev/null | grep -c -e '^rtn:3 ' -e '^small ' -e '^notes (text)'
3

# Differences from one row; pictures where gnuplot is installed.
$ twobit compare one.gguf -m rtn:3,rtn:2 --against rtn:3:64 --work lab --max-tokens 512 2>/dev/null >out; grep -e ^rtn -e base out
recipe * the base on held-out * (glob)
rtn:3 * ± * - * (glob)
rtn:2 * ± * ± * (glob)
The base is rtn:3; differences and their errors are taken window by window.
$ twobit compare one.gguf -m rtn:3 --against rtn:4 2>&1 | head -n 1
twobit: --against 'rtn:4' is none of the recipes
$ command -v gnuplot >/dev/null || exit 0
> for end in svg png; do
>     twobit compare --grid grid.json --work lab --plot plot.$end >/dev/null 2>&1; test -s plot.$end || echo "no plot.$end"
> done
> draws plot.svg
$ twobit compare one.gguf --plot plot.gif 2>&1 | head -n 1
twobit: 'plot.gif' is no picture twobit can draw; use a name that ends in .svg or .png

# A recipe that cannot be made does not stop the others.
$ twobit compare one.gguf --methods rtn:2+size=1000,rtn:3 --max-tokens 512 --work lab --markdown part.md >part 2>err; echo $?; cat err
1
twobit: scoring the blocks of one for rtn+size=1000
twobit: warning: one with rtn+size=1000: 1000 bytes are too few: the smallest file has [0-9]* (glob)
twobit: 1 recipe could not be made
$ grep -e missing -e '^rtn:3' -e '^rtn+' part
rtn+size=1000 * - * - * - (glob)
rtn:3 * (glob)
one with rtn+size=1000 is missing: 1000 bytes are too few: the smallest file has *. (glob)
$ echo short >short; twobit compare tiny.gguf --methods bpdq --calib short --work there 2>&1 >/dev/null | tail -n 1
twobit: 1 recipe could not be made

$ twobit compare tiny.gguf --methods rtn:2 --max-tokens 512 --work here --json --generate "the end" -n 5 >json 2>/dev/null; keys <json
continuations folder models protocol rows texts
$ grep -c -e '"recipe": "original"' -e '"recipe": "rtn:2"' json; ls here | grep -c .
4
2

# What it lets the models write is what run writes.
$ twobit compare tiny.gguf --methods rtn --max-tokens 512 --generate "the end" -n 8 --seed 3 >shown 2>/dev/null
$ twobit run tiny.gguf -p "the end" -n 8 --seed 3 >run
$ case $(cat shown) in *"original:
> $(cat run)"*) echo the same ;; esac
the same

# Mistakes, and files that are not what they should be.
$ for wrong in 'tiny.gguf -m rtn:2,gtpq' 'tiny.gguf -m rtn:7' 'tiny.gguf -m rtn+hed=3' '' 'tiny.gguf x/tiny.gguf' 'tiny.gguf one.gguf --also small.gguf' 'tiny.gguf --text a= '; do
>     twobit compare $wrong 2>&1 >/dev/null | head -n 1
> done
twobit: recipe 'gtpq': unknown method 'gtpq'; use rtn, clip, hqq, awq, gptq, bpdq or ptqtp
twobit: recipe 'rtn:7': option '--bits': 7 is too large, the most is 4
twobit: recipe 'rtn+hed=3': unknown option '--hed'
twobit: the model is missing
twobit: two models are called 'tiny'; a grid file can name them
twobit: --also needs a single model; a grid file can say which model a file belongs to
twobit: 'a=' is no text; write FILE or NAME=FILE
$ twobit compare tiny.gguf -m rtn:7 2>/dev/null
= 2
$ echo '{"modles": []}' >bad.json; twobit compare --grid bad.json 2>&1 | head -n 1; echo '{' >bad.json; twobit compare --grid bad.json 2>&1 | head -n 1
twobit: grid 'bad.json': it has an unknown key 'modles'; did you mean 'models'?
twobit: grid 'bad.json': it is not JSON: string or '}' expected near end of file, line 2
$ twobit compare missing.gguf
! twobit: cannot open 'missing.gguf': No such file or directory
= 1
$ make_tiny_model nan.gguf --nan; twobit compare nan.gguf --methods rtn --max-tokens 512 2>&1 >/dev/null | tail -n 1
twobit: measuring nan on held-out: the reference is broken: its logits are not finite
$ twobit compare one.gguf --work lab --also table 2>&1 | tail -n 1
twobit: 'table' is not a GGUF file: it does not start with 'GGUF'
$ twobit compare tiny.gguf --methods rtn --work short
! twobit: cannot create the folder 'short': File exists
= 1
$ for f in here/results.sqlite; do head -c 3000 $f | tr '\0-\377' 'x' >damaged; cp damaged $f; done; twobit compare tiny.gguf --methods rtn:2 --max-tokens 512 --work here
! twobit: the results in 'here/results.sqlite' are damaged (file is not a database); move the file away: the quantized models beside it are used again
= 1
$ rm here/results.sqlite; twobit compare tiny.gguf --methods rtn:2 --max-tokens 512 --work here 2>&1 >/dev/null
twobit: measuring tiny on held-out: 2 of 2 models, 2 windows of 256 tokens

# Killed in whatever way, it leaves no child working on, and the same command goes on at once.
$ make_tiny_model deep.gguf --blocks 16 # so that there is time for the kill behind the first block
$ echo 'exec twobit compare deep.gguf -m bpdq:2 --calib-tokens 768 --max-tokens 256 -w "$1" -q' >deep.sh
$ for signal in KILL USR1; do
>     sh deep.sh $signal >table 2>err & pid=$!
>     until ls $signal/*.partial/block-* >/dev/null 2>&1; do kill -0 $pid || break; done
>     child=$(cat /proc/$pid/task/$pid/children) && [ "$child" ] || echo "$signal: there was no child"
>     kill -$signal $pid; wait $pid 2>/dev/null; cat table err
>     sh deep.sh $signal >table 2>&1 || cat table
>     ! grep -q "^State:.[^ZX]" /proc/$child/status 2>/dev/null || echo "$signal: the child lives"
> done

# Two comparisons in one folder: the second is told who works there. Whoever stops takes the lock away.
$ sh deep.sh both >table 2>err & pid=$!
> until ls both/*.partial >/dev/null 2>&1; do kill -0 $pid || break; sleep 0.01; done; kill -STOP $pid
> twobit compare tiny.gguf -m rtn:2 -w both 2>&1 | sed "s/$pid/PID/"; kill -TERM $pid; kill -CONT $pid; wait $pid 2>/dev/null; ls both/lock
twobit: another process (PID) is writing 'both'
! ls: cannot access 'both/lock': No such file or directory
= 2
