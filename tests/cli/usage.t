# What is said to who does not know the program yet, and to who mistypes.

$ twobit --version
twobit * (glob)

$ twobit
! twobit: language models at about two bits per weight
! Examples:
!   twobit run model.gguf -p "Once upon a time"
!   twobit chat model.gguf
!   twobit quantize model.gguf -o small.gguf --method bpdq
!   twobit compare model.gguf
! Usage: twobit COMMAND [arguments]
! Commands:
!   info        show what a model is made of
!   run         continue a text
!   chat        talk with a model
!   quantize    write a model in fewer bits
!   analyze     show which blocks of a model deserve more bits
!   perplexity  measure how well a model predicts a text
!   compare     quantize a model in several ways and print one table
!   bench       measure the speed of prefill and decode
!   tokenize    show a text as token ids
!   template    show the prompt that a conversation becomes
!   logits      write what the model predicts after each token
!   embed       turn texts into vectors
!   train       train a small model on a text
!   prefix      store what a model makes of the tokens that texts begin with
!   sink        attention sinks: where they are, what makes them
!   csi         wireless channel feedback: simulate, train, measure, stream, plot
!   saas        web agents at work in real applications, measured
! 'twobit help COMMAND' says more about each. A MODEL is a GGUF file, a twobit file or a
! Hugging Face folder.
= 2

$ twobit --help >a && twobit help >b && cmp a b && head -n 1 a
twobit: language models at about two bits per weight

# Help is the same by three ways, starts with examples, and knows the defaults.
$ for c in info run chat quantize perplexity compare bench tokenize template logits; do
>     twobit help $c >a && twobit $c --help >b && twobit $c -h >c && cmp a b && cmp a c && sed -n 3p a
> done
Examples:
Examples:
Examples:
Examples:
Examples:
Examples:
Examples:
Examples:
Examples:
Examples:
$ twobit help run | grep -e '--tokens'
  -n, --tokens N            most tokens to add (default 128)

$ twobit rnu
! twobit: unknown command 'rnu'; did you mean 'run'?
! usage: twobit COMMAND [arguments]; 'twobit help' lists the commands
= 2
$ twobit conjure
! twobit: unknown command 'conjure'
! usage: twobit COMMAND [arguments]; 'twobit help' lists the commands
= 2
$ twobit help conjure
! twobit: unknown command 'conjure'
! usage: twobit COMMAND [arguments]; 'twobit help' lists the commands
= 2

$ twobit info
! twobit: the model is missing
! usage: twobit info MODEL [options]
! 'twobit help info' explains the options
= 2
$ twobit info a b
! twobit: 'b' is one argument too many
! usage: twobit info MODEL [options]
! 'twobit help info' explains the options
= 2
$ twobit bench model --promt 3 2>&1 | head -n 1
twobit: unknown option '--promt'; did you mean '--prompt'?
$ twobit bench model --prompt 3x 2>&1 | head -n 1
twobit: option '--prompt': '3x' is not a whole number
$ twobit bench model --prompt 0 2>&1 | head -n 1
twobit: option '--prompt': 0 is too small, the least is 1
$ twobit bench model --threads 99999999999999999999 2>&1 | head -n 1
twobit: option '--threads': '99999999999999999999' is too large
$ twobit bench model --cpu fast 2>&1 | head -n 1
twobit: unknown kernel level 'fast'; use scalar, avx2, avx512, vnni or native
$ TWOBIT_CPU=fast twobit tokenize missing.gguf a
! twobit: unknown kernel level 'fast' in the environment variable TWOBIT_CPU
= 1
$ twobit bench model --prompt 2>&1 | head -n 1
twobit: option '--prompt' needs a value: N
$ twobit bench model --prompt 0 2>/dev/null
= 2

# Output that cannot be written is a failure; a reader that leaves is not worth a sentence.
$ twobit help run >/dev/full
! twobit: cannot write the output: No space left on device
= 1
$ { twobit help run; echo $? >status; } | true; cat status
[01] (glob)
