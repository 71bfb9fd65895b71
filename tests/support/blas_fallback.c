// Preloaded into the program: OpenBLAS starts with the kernels that it gives to processors it does not know. It is the
// first to ask for the variable, while it is loaded; whoever asks later sees the environment as it is.
#include <stdlib.h>
#include <string.h>

extern char **environ;

char *getenv(const char *name)
{
    static int asked;
    static char fallback[] = "Prescott";
    size_t size = strlen(name);
    int first = strcmp(name, "OPENBLAS_CORETYPE") == 0 && asked++ == 0;
    for (char **entry = environ; entry && *entry; entry++)
        if (strncmp(*entry, name, size) == 0 && (*entry)[size] == '=')
            return *entry + size + 1;
    return first ? fallback : NULL;
}
