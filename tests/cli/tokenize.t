$ make_tiny_model tiny.gguf
$ twobit tokenize tiny.gguf "the hat"
1 273 259 266 262 261
$ twobit tokenize tiny.gguf "the hat" --no-bos
273 259 266 262 261

# Bytes outside the vocabulary, not UTF-8 among them, become byte tokens: 3 + the byte.
$ printf 't\377\n' | twobit tokenize tiny.gguf --text - --no-bos
271 258 13
$ printf 't\377\n' >bytes; twobit tokenize tiny.gguf --text bytes --no-bos
271 258 13
$ : >empty; twobit tokenize tiny.gguf --text empty
1

# Control tokens written out are text unless asked for.
$ twobit tokenize tiny.gguf "</s>" --special --no-bos | grep -cw 2
1
$ twobit tokenize tiny.gguf "</s>" --no-bos | grep -cw 2
0
= 1

$ twobit tokenize tiny.gguf "the" --json
{
  "count": 2,
  "ids": [
    1,
    273
  ]
}

# The vocabulary suffices.
$ make_tiny_model vocabulary.gguf --without-weights; twobit tokenize vocabulary.gguf "the hat"
1 273 259 266 262 261

$ twobit tokenize tiny.gguf
! twobit: give the text either as an argument or with --text
! usage: twobit tokenize MODEL (TEXT | --text FILE) [options]
! 'twobit help tokenize' explains the options
= 2
$ twobit tokenize tiny.gguf --text missing
! twobit: cannot open 'missing': No such file or directory
= 1
