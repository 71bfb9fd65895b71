# The commands of `twobit csi`.

$ twobit csi
! twobit csi: wireless channel feedback: simulate, train, measure, stream, plot
! Usage: twobit csi COMMAND [arguments]
! Commands:
!   evaluate    measure receivers: NMSE of the CSI, BER of the data
!   train       train a neural receiver
!   quantize    write a neural receiver in fewer bits
!   stream      receive frame by frame: latency against the slot
!   simulate    write frames of the link to a file
!   plot        draw results as curves
! 'twobit help csi COMMAND' says more about each.
= 2
$ twobit csi evalute
! twobit: unknown command 'csi evalute'
! usage: twobit csi COMMAND [arguments]; 'twobit help csi' lists them
= 2
$ twobit help csi >a && twobit csi --help >b && cmp a b && head -n 1 a
twobit csi: wireless channel feedback: simulate, train, measure, stream, plot
$ for c in evaluate train quantize stream simulate plot; do
>     twobit help csi $c >a && twobit csi $c --help >b && cmp a b && sed -n 3p a
> done
Examples:
Examples:
Examples:
Examples:
Examples:
Examples:

# Results, the same for any number of threads.
$ twobit csi evaluate --n 8 --p 64 --b 64 --frames 600 --snr-db 5 --receivers ls,hard-3
receiver  rho  SNR dB  frames *NMSE * (glob)
ls        0.2       5     600  0.7* (glob)
hard-3    0.2       5     600  0.3* (glob)
$ for t in 1 2 5; do
>     twobit csi evaluate --n 8 --p 64 --frames 600 --snr-db 2,8 --threads $t --csv $t.csv --json $t.json
> done; cmp 1.csv 2.csv && cmp 1.csv 5.csv && cmp 1.json 2.json && cmp 1.json 5.json && wc -l <1.csv
9
$ keys <1.json
b channel confidence modulation n nmse_def p points seed spreading spreading_seed users
$ twobit csi evaluate --n 8 --p 64 --frames 600 --snr-db 2,8 --json | cmp - 1.json
$ head -n 2 1.csv
receiver,n,p,b,channel,spreading,modulation,seed,rho,snr_db,frames,bits,bit_errors,frame_errors,nmse,nmse_ci,ber,ber_ci
mmse,8,64,8,rayleigh,walsh-first,qpsk,0,0.2,2,600,76800,* (glob)

# A measurement that is killed goes on to the same bytes, with any number of threads; its state knows what it belongs to.
$ echo 'exec twobit csi evaluate --n 8 --p 64 --frames 60000 --snr-db 2,8 --receivers mmse,hard --csv "$@"' >measure
$ sh measure whole.csv >/dev/null
$ sh measure killed.csv >/dev/null & pid=$!
> while [ ! -e killed.csv.partial ] && kill -0 $pid; do sleep 0.01; done; kill -KILL $pid; wait $pid 2>/dev/null; echo $?
> sh measure killed.csv --threads 3 2>&1 >/dev/null; cmp whole.csv killed.csv; ls *.partial
137
twobit: going on from 'killed.csv.partial': point * of 2, frame * (glob)
! ls: cannot access '*.partial': No such file or directory
= 2

# Frames.
$ twobit csi simulate -o frames.safetensors --n 8 --p 64 --frames 3 --seed 1 && head -c 8000 frames.safetensors | grep -c 'walsh-first'
1
$ echo 'exec twobit csi simulate --n 8 --p 64 --frames 20000 --seed 1 -o "$@"' >simulate
$ sh simulate frames-whole.safetensors -q
$ sh simulate killed-frames.safetensors -q & pid=$!
> while [ ! -e killed-frames.safetensors.partial ] && kill -0 $pid; do sleep 0.01; done; sleep 0.05; kill -KILL $pid; wait $pid 2>/dev/null; echo $?
> sh simulate killed-frames.safetensors --threads 2 -q; cmp frames-whole.safetensors killed-frames.safetensors; ls *.partial
137
! ls: cannot access '*.partial': No such file or directory
= 2
$ twobit csi simulate
! twobit: option '--output' is missing
! usage: twobit csi simulate -o FILE [options]
! 'twobit help csi simulate' explains the options
= 2

# Networks: training that is killed goes on to the same bits, with any number of threads.
$ echo 'exec twobit csi train --n 8 --p 64 --batch 16 --hidden 8 --seed 3 --steps-factor 0.0625 "$@"' >train
$ sh train -o net.safetensors --threads 1
! twobit: training the hybrid network, seed 3
! twobit: det1: step 500 of 1250, loss * (glob)
! twobit: det1: step 1000 of 1250, loss * (glob)
! twobit: det1: step 1250 of 1250, loss * (glob)
! twobit: det2: step 500 of 1000, loss * (glob)
! twobit: det2: step 1000 of 1000, loss * (glob)
$ sh train -o killed.safetensors -q & pid=$!
> while [ ! -e killed.safetensors.partial ] && kill -0 $pid; do sleep 0.01; done; kill -KILL $pid; wait $pid 2>/dev/null; echo $?
> sh train -o killed.safetensors --threads 2 2>&1 | sed -n 2p; cmp net.safetensors killed.safetensors; ls *.partial
137
twobit: going on from 'killed.safetensors.partial': det[12], step * (glob)
! ls: cannot access '*.partial': No such file or directory
= 2

# Two measurements for one file: the second is told who is at it, and the first loses nothing. So with training.
$ for work in "measure both.csv" "train -o both.safetensors"; do
>     file=${work##* }; sh $work -q >/dev/null 2>said & pid=$!
>     while [ ! -e $file.partial ] && kill -0 $pid; do sleep 0.01; done; sh $work -q 2>&1 | sed "s/$pid/PID/"; wait $pid || cat said
> done; cmp whole.csv both.csv; cmp net.safetensors both.safetensors; ls *.lock
twobit: another process (PID) is writing 'both.csv'
twobit: another process (PID) is writing 'both.safetensors'
! ls: cannot access '*.lock': No such file or directory
= 2

$ twobit csi evaluate --n 64 --p 512 --frames 256 --snr-db 5 --receivers net.safetensors
receiver         rho  SNR dB  frames * (glob)
net.safetensors  0.2       5     256 * (glob)
$ twobit csi evaluate --n 64 --p 256 --receivers net.safetensors
! twobit: 'net.safetensors': the network is for 8 symbols per antenna, not 4
= 1

# Frame by frame, simulated and from a file; how well they are received is the same.
$ twobit csi stream net.safetensors hard --n 8 --p 64 --seed 1 --frames 3
3 frames at 5 dB, rho 0.2; one each 500 µs
receiver *frames/s *median µs *p99 µs *worst µs *missed *NMSE *BER (glob)
net.safetensors * 0.4994 * (glob)
hard * 0.4752 * (glob)
$ twobit csi stream hard net.safetensors --n 8 --p 64 --seed 1 --frames 3 --rate 1000 --json >drawn.json; keys <drawn.json
b frames n normaliser p rate receivers rho seed slot_us snr_db threads
$ twobit csi stream hard net.safetensors --input frames.safetensors --json | grep -e '"nmse"' -e '"ber"' >read; grep -e '"nmse"' -e '"ber"' drawn.json | cmp - read && wc -l <read
4
$ twobit csi stream
! twobit: a network or receiver is missing
! usage: twobit csi stream NET… [options]
! 'twobit help csi stream' explains the options
= 2
$ twobit csi stream hard --normaliser batch 2>&1 | head -n 1
twobit: unknown normaliser 'batch'; use frame or analytic
$ twobit csi stream hard --input net.safetensors
! twobit: 'net.safetensors' is no file of 'twobit csi simulate': it does not say 'b'
= 1
$ twobit csi stream hard --input frames.safetensors --frames 4
! twobit: there are no 4 frames to stream
= 1
$ head -c 1000 net.safetensors >cut.safetensors; twobit csi evaluate --receivers cut.safetensors
! twobit: tensor '*' lies outside 'cut.safetensors': * (glob)
= 1
$ twobit csi quantize net.safetensors -o bpdq.safetensors --method bpdq
320 weights, * bits per weight of the matrices (scales included) (glob)
$ twobit csi quantize net.safetensors -o trits.safetensors --finetune --steps-factor 0.003
320 weights, * bits per weight of the matrices (scales included) (glob)
$ twobit csi evaluate --n 8 --p 64 --frames 256 --snr-db 5 --receivers net.safetensors,bpdq.safetensors,trits.safetensors | wc -l
4

# Nothing depends on the number of threads: training, packing, measuring.
$ for t in 1 2; do
>     twobit csi train --net paper+gain --n 8 --p 64 --b 64 --batch 50 --steps-factor 0.001 --threads $t -q -o paper-$t.safetensors
>     twobit csi quantize paper-1.safetensors -o packed-$t.safetensors --method bpdq --threads $t -q >/dev/null
>     twobit csi quantize net.safetensors -o tuned-$t.safetensors --finetune --steps-factor 0.01 --threads $t -q >/dev/null
>     twobit csi evaluate --n 8 --p 64 --frames 700 --receivers paper-1.safetensors,packed-1.safetensors,tuned-1.safetensors --threads $t --json nets-$t.json
> done; for f in paper packed tuned; do cmp $f-1.safetensors $f-2.safetensors; done; cmp nets-1.json nets-2.json
$ twobit csi quantize bpdq.safetensors -o again.safetensors
! twobit: 'bpdq.safetensors' is packed already
= 1
$ twobit csi quantize net.safetensors -o x --method exl2 2>&1 | head -n 1
twobit: unknown method 'exl2'; use rtn, clip, hqq, gptq, bpdq or ptqtp
$ twobit csi train --net deep -o x 2>&1 | head -n 1
twobit: unknown network 'deep'; use paper, paper+gain or hybrid
$ twobit csi train --rho 0.5,1.5 -o x
! twobit: training the hybrid network, seed 0
! twobit: a power share rho of 1.5 lies outside 0 … 1
= 1

# Curves.
$ twobit csi plot 1.json -o a.svg --title 'say "x"' && twobit csi plot 1.json -o a.png && grep -c -e 'say "x"' a.svg && head -c 4 a.png | tail -c 3
1
PNG
$ draws a.svg "$docs"/*.svg
$ twobit csi plot 1.csv -o a.svg
! twobit: '1.csv' holds no results of 'twobit csi evaluate --json'
= 1
$ twobit csi plot 1.json -o a.txt 2>&1 | head -n 1
twobit: 'a.txt' is no picture twobit can draw; use a name that ends in .svg or .png
$ mkdir bin; ln -s "$(command -v twobit)" bin/; PATH=$PWD/bin twobit csi plot 1.json -o b.svg
! twobit: cannot draw 'b.svg': gnuplot is not installed (package gnuplot-nox)
= 1

# One clear sentence each.
$ twobit csi evaluate --rho 1.5
! twobit: a power share rho of 1.5 lies outside 0 … 1
= 1
$ twobit csi evaluate --n 48
! twobit: 48 antennas are not a power of two, which Walsh spreading needs
= 1
$ twobit csi evaluate --n 64 --p 32
! twobit: 64 antennas need a frame of as many symbols, not 32
= 1
$ twobit csi evaluate --channel cdl-a
! twobit: the Bayes receiver knows the rayleigh channel with walsh-first spreading only
= 1
$ twobit csi evaluate --channel water 2>&1 | head -n 1
twobit: unknown channel 'water'; use rayleigh, sparse, cdl-a, cdl-b, cdl-c, cdl-d or digital
$ twobit csi evaluate --snr-db 5,x 2>&1 | head -n 1
twobit: option '--snr-db': 'x' is not a number
$ twobit csi evaluate --receivers mmse,zf
! twobit: unknown receiver 'zf'; use none, ls, mmse, hard, hard-K, soft, soft-K, bayes or the file of a network
= 1
$ twobit csi evaluate --receivers mmse,nett.safetensors
! twobit: cannot open 'nett.safetensors': No such file or directory
= 1
$ twobit csi train -o missing/net.safetensors
! twobit: cannot create 'missing/net.safetensors': No such file or directory
= 1
$ twobit csi quantize net.safetensors --finetune -o missing/net.safetensors
! twobit: cannot create 'missing/net.safetensors': No such file or directory
= 1
$ twobit csi evaluate results.json 2>&1 | head -n 1
twobit: 'results.json' is one argument too many
