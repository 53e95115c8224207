/* What survives a power cut: of each file below $SYNCED_FROM its content when it was last synced, kept in $SYNCED_TO.
   Loaded with LD_PRELOAD; whatever was written and not synced is taken for lost, names that were removed are not: file
   systems keep them in order with what is synced later. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void copy(int from, const char *to) {
    char piece[1 << 16];
    int file = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0) abort();
    ssize_t size;
    for (off_t at = 0; (size = pread(from, piece, sizeof piece, at)) > 0; at += size)
        if (write(file, piece, size) != size) abort();
    if (close(file) || size < 0) abort();
}

/* The name under which `path` is kept; 0 if it is not below the folder. */
static int kept_as(const char *path, char *kept, size_t size) {
    const char *from = getenv("SYNCED_FROM"), *to = getenv("SYNCED_TO");
    if (!from || !to || strncmp(path, from, strlen(from)) || path[strlen(from)] != '/') return 0;
    return snprintf(kept, size, "%s/%s", to, path + strlen(from) + 1) < (int)size;
}

static void keep(int descriptor) {
    char link[64], path[PATH_MAX], kept[2 * PATH_MAX], part[2 * PATH_MAX + 8];
    struct stat found;
    if (fstat(descriptor, &found) || !S_ISREG(found.st_mode)) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return;
    path[length] = 0;
    if (!kept_as(path, kept, sizeof kept)) return;
    snprintf(part, sizeof part, "%s.part", kept);
    int source = open(path, O_RDONLY);
    if (source < 0) abort();
    copy(source, part);
    if (rename(part, kept)) abort();
    close(source);
}

static int synced(const char *name, int descriptor) {
    int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int result = sync(descriptor);
    if (result == 0) keep(descriptor);
    return result;
}

int fsync(int descriptor) { return synced("fsync", descriptor); }
int fdatasync(int descriptor) { return synced("fdatasync", descriptor); }

int unlink(const char *path) {
    static int (*remove_name)(const char *);
    if (!remove_name) remove_name = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    char kept[2 * PATH_MAX];
    if (kept_as(path, kept, sizeof kept)) remove_name(kept);
    return remove_name(path);
}
