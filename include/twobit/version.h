// The version of the headers; tb_version() gives that of the library.
#ifndef TWOBIT_VERSION_H
#define TWOBIT_VERSION_H

#define TB_VERSION "0.1.0"

#endif
