$ make_tiny_model tiny.gguf
$ twobit compare tiny.gguf --methods rtn:2,bpdq:3:32 --calib-tokens 256 --max-tokens 1024 >table 2>err; cat table
                             bytes of  bits per weight  * (glob)
method    bits  group  the whole file   of the linears  * (glob)
original     -      -         403,360           32.000  * ± * - * - * - * - * (glob)
rtn          2     64          71,* 2.383  * ± * % * MiB * (glob)
bpdq         3     32          91,* 5.000  * ± * % * MiB * (glob)
Perplexity and divergence (KL from the original, nats per token): held-out text of twobit,
4 windows of 256 tokens that do not overlap, positions 0 to 254 scored, 1,020 predictions.
Calibration: calibration text of twobit, seed 0. Speed: * threads, kernels * (glob)
The files are in '*/.cache/twobit/tiny.twobit'. (glob)
$ grep -v warning err
twobit: quantizing with rtn:2:64 (1 of 2)
twobit: quantizing with bpdq:3:32 (2 of 2)
twobit: measuring 2 models beside the original

# A second run uses what is there; another candidate is added to it.
$ twobit compare tiny.gguf --methods rtn:2,bpdq:3:32 --calib-tokens 256 --max-tokens 1024 >again; cmp table again
$ twobit compare tiny.gguf --methods rtn:2,ptqtp --calib-tokens 256 --max-tokens 1024 2>&1 >/dev/null | grep -v warning
twobit: quantizing with ptqtp:2:64 (2 of 2)
twobit: measuring 1 model beside the original

# Another text is measured with the same files; another model of that name is another model.
$ head -c 4000 err table again table table table | tr -d '>=<' >text; cat table table table >>text
$ twobit compare tiny.gguf --methods rtn:2 --calib-tokens 256 --text text 2>&1 >/dev/null
twobit: measuring 1 model beside the original
$ make_tiny_model tiny.gguf --seed 2; twobit compare tiny.gguf --methods rtn:2 --max-tokens 512 2>&1 >/dev/null | grep -v warning
twobit: quantizing with rtn:2:64 (1 of 1)
twobit: measuring 1 model beside the original

# A damaged result is made again.
$ cd ../home/.cache/twobit/tiny.twobit; for f in rtn*.gguf; do echo x >>$f; done
$ twobit compare tiny.gguf --methods rtn:2 --max-tokens 512 2>&1 >/dev/null | grep -v warning
twobit: quantizing with rtn:2:64 (1 of 1)
twobit: measuring 1 model beside the original

$ twobit compare tiny.gguf --methods rtn:2 --max-tokens 512 --work here --json --generate "the end" -n 5 >json 2>/dev/null; keys <json
continuations folder model protocol rows
$ grep -c -e '"method": "original"' -e '"method": "rtn"' json; ls here | grep -c .
3
4

$ twobit compare tiny.gguf --methods rtn:2,gtpq
! twobit: unknown method 'gtpq'; use rtn, * (glob)
! usage: twobit compare MODEL [--methods LIST] [options]
! 'twobit help compare' explains the options
= 2
$ twobit compare tiny.gguf --methods rtn:7 2>/dev/null
= 2
$ twobit compare missing.gguf
! twobit: cannot open 'missing.gguf': No such file or directory
= 1
$ make_tiny_model nan.gguf --nan; twobit compare nan.gguf --methods rtn --max-tokens 512 2>&1 >/dev/null | tail -n 1
twobit: * (glob)

# A child that fails says why; we say which.
$ echo short >short; twobit compare tiny.gguf --methods bpdq --calib short --work there
! twobit: quantizing with bpdq:2:64 (1 of 1)
! twobit: calibration on 'short': * (glob)
! twobit: quantizing with bpdq:2:64: a child process failed
= 1
$ twobit compare tiny.gguf --methods rtn --work short
! twobit: cannot create the folder 'short': File exists
= 1

# What it lets the models write is what run writes.
$ twobit compare tiny.gguf --methods rtn --max-tokens 512 --generate "the end" -n 8 --seed 3 >shown 2>/dev/null
$ twobit run tiny.gguf -p "the end" -n 8 --seed 3 >run
$ case $(cat shown) in *"original:
> $(cat run)"*) echo the same ;; esac
the same
