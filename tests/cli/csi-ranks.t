# The commands of `twobit csi` as several processes, started by mpirun. Open MPI wants to be told that it may run
# as root, may start more processes than there are processors, and shall not add its own lines to ours.
$ cat >together <<'END'
> export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
> export OMPI_MCA_btl=self,vader,tcp OMPI_MCA_btl_base_warn_component_unused=0
> exec mpirun -q --oversubscribe "$@"
> END

# The bits of one process, for any number of them and of their threads, with and without a stop rule.
$ echo 'exec "$@" twobit csi evaluate --n 8 --p 64 --frames 1600 --snr-db 2,8 --receivers hard,soft $options' >evaluate
$ options='--json all.json --csv all.csv' sh evaluate && options='--tolerance 0.05 --csv tight.csv' sh evaluate >table
$ for n in 2 3; do
>     options="--threads $n --json $n.json --csv $n.csv" sh evaluate sh together -n $n &&
>     options="--tolerance 0.05 --csv tight-$n.csv" sh evaluate sh together -n $n >table-$n &&
>     cmp all.json $n.json && cmp all.csv $n.csv && cmp tight.csv tight-$n.csv && cmp table table-$n
> done
$ cmp -s all.csv tight.csv
= 1

# One of them prints.
$ sh together -n 2 twobit csi evaluate --help | grep -c '^Usage'
1

# The first writes frames alone.
$ sh together -n 2 twobit csi simulate -o 2.safetensors --n 8 --p 64 --frames 300 && twobit csi simulate -o 1.safetensors --n 8 --p 64 --frames 300 && cmp 1.safetensors 2.safetensors

# An error of all, or of any, is one sentence and ends all.
$ sh together -n 3 twobit csi evaluate --n 48
! twobit: 48 antennas are not a power of two, which Walsh spreading needs
= 1
$ sh together -n 2 twobit csi evaluate --frames none 2>&1 | head -n 1
twobit: option '--frames': 'none' is not a whole number
$ mkdir other && twobit csi train -q -o net.safetensors --n 8 --p 64 --batch 8 --hidden 2 --steps-factor 0.001
$ sh together -n 1 twobit csi evaluate --receivers net.safetensors : -n 1 -wdir other twobit csi evaluate --receivers net.safetensors
! twobit: process 1: cannot open 'net.safetensors': No such file or directory
= 1
$ sh together -n 2 twobit csi evaluate --frames 256 --n 8 --p 64 --csv missing/results.csv >table
! twobit: cannot create 'missing/*': No such file or directory (glob)
= 1
$ sh together -n 2 twobit csi train -o x
! twobit: 'twobit csi train' works in one process; start it without mpirun
= 1
