// The program: finds the command and runs it.
#include <stdio.h>

#include "twobit/version.h"

int main(void)
{
    puts("twobit " TB_VERSION);
    return 0;
}
