$ make_tiny_model tiny.gguf

# Texts become vectors as wide as the model, one after the other, and the same as lines of a file.
$ twobit embed tiny.gguf "the end" "of it" >a; keys <a; grep -c '"tokens"' a; grep -o '"width": [0-9]*' a
embeddings mask_first width
2
"width": 64
$ printf 'the end\nof it\n' >lines; twobit embed tiny.gguf --lines lines | cmp - a
$ printf 'the end\nof it' | twobit embed tiny.gguf --lines - --threads 1 | cmp - a
$ twobit embed tiny.gguf "of it" "the end" >b; cmp -s a b
= 1

# Without the first token it is another vector; NumPy's file has the numbers.
$ twobit embed tiny.gguf "the end" "of it" --mask-first >b; cmp -s a b; grep -o '"mask_first": [a-z]*' b
"mask_first": true
$ twobit embed tiny.gguf --lines lines -o v.npy; head -c 6 v.npy | tail -c 5 | grep -c NUMPY; grep -a -o "'shape': ([0-9, ]*)" v.npy
1
'shape': (2, 64)

# What is no text, or too long.
$ printf 'the end\n\nof it\n' >gap; twobit embed tiny.gguf --lines gap --mask-first
! twobit: text 2: the text has one token, and with the first one masked none is left
= 1
$ : >empty; twobit embed tiny.gguf --lines empty
! twobit: 'empty' is empty
= 1
$ make_tiny_model small.gguf --context 8
$ twobit embed small.gguf "the end of the end of the end of the end"
! twobit: the text has * tokens, and the model's context 8 (glob)
= 1
$ make_tiny_model nan.gguf --nan; twobit embed nan.gguf "the end"
! twobit: the model is broken: its numbers are not finite
= 1
$ twobit embed absent.gguf a -o absent/v.npy
! twobit: cannot create 'absent/v.npy': No such file or directory
= 1
$ twobit embed tiny.gguf 2>&1 | head -n 1
twobit: give texts either behind the model or with --lines
$ twobit embed tiny.gguf a --lines lines 2>&1 | head -n 1
twobit: give texts either behind the model or with --lines
