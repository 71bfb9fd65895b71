// Turns files into a C source with their bytes, for texts that are built into the program.
// Runs during the build:
//
//     embed_text OUTPUT.c NAME FILE [NAME FILE …]
//
// Each pair becomes "const unsigned char tb_embedded_NAME[]" and "const size_t tb_embedded_NAME_size".
#include <stdio.h>

enum { BYTES_PER_LINE = 24 };

static int fail(const char *what, const char *path)
{
    fprintf(stderr, "embed_text: cannot %s '%s'\n", what, path);
    return 1;
}

static int embed(FILE *out, const char *name, const char *path)
{
    FILE *in = fopen(path, "rb");
    if (!in)
        return fail("open", path);
    size_t size = 0;
    fprintf(out, "\nconst unsigned char tb_embedded_%s[] = {", name);
    for (int byte = fgetc(in); byte != EOF; byte = fgetc(in))
        fprintf(out, "%s%d,", size++ % BYTES_PER_LINE ? "" : "\n", byte);
    fprintf(out, "\n};\nconst size_t tb_embedded_%s_size = %zu;\n", name, size);
    int failed = ferror(in);
    fclose(in);
    return failed ? fail("read", path) : 0;
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc % 2) {
        fprintf(stderr, "usage: embed_text OUTPUT.c NAME FILE [NAME FILE ...]\n");
        return 2;
    }
    FILE *out = fopen(argv[1], "w");
    if (!out)
        return fail("create", argv[1]);
    fprintf(out, "#include \"text/embedded.h\"\n");
    int failed = 0;
    for (int i = 2; i < argc && !failed; i += 2)
        failed = embed(out, argv[i], argv[i + 1]);
    if (fclose(out) != 0 && !failed)
        failed = fail("write", argv[1]);
    return failed;
}
