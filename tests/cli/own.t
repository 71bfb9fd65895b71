# The model that comes with twobit, from any folder.
$ twobit run -p "Once upon a time" -n 30 --temp 0 -q >said; grep -c "^Once upon a time[ ,]" said
1
$ mkdir -p elsewhere; cd elsewhere; twobit run -p "Once upon a time" -n 30 --temp 0 -q | cmp - ../said
$ echo "One day" >prompt; twobit run -f prompt -n 5 -q | grep -c "One day"
1

# Sentences end, and begin again with a capital.
$ twobit run -p "Once upon a time" -n 200 --temp 0.6 --seed 3 -q | grep -c '[.!?"] *[A-Z"]'
* (glob)

# In the folders of an installation, wherever these are.
$ mkdir -p place/bin place/share/twobit/models; cp "$(command -v twobit)" place/bin
> cp "$(dirname "$(command -v twobit)")/../share/models/stories.gguf" place/share/twobit/models
> place/bin/twobit run -p "Once upon a time" -n 30 --temp 0 -q | cmp - said
> cd /; "$OLDPWD"/place/bin/twobit run -p "Once upon a time" -n 30 --temp 0 -q | cmp - "$OLDPWD"/said

# Where it is not, a model must be named.
$ mkdir -p bare/bin; cp "$(command -v twobit)" bare/bin; bare/bin/twobit run -p Once -n 1 2>&1 | sed "s/'.*'/'…'/"
* (glob)

# Only what it is to continue makes it tell.
$ twobit run
! twobit: the model is missing
! usage: twobit run [MODEL] -p TEXT [options]
! 'twobit help run' explains the options
= 2
$ twobit run -n 5
! twobit: the model is missing
! usage: twobit run [MODEL] -p TEXT [options]
! 'twobit help run' explains the options
= 2

# What quantization cost is little.
$ twobit info "$(dirname "$(command -v twobit)")/../share/models/stories.gguf" | grep -c gptq
1
