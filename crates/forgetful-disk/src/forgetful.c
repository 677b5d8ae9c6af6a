/* Preloaded into a program under test: what it syncs is copied to FORGETFUL_DISK, by inode; nothing else survives a loss of power.
   files/<inode> has the bytes of a file as they were synced last, folders/<inode> the names in a folder: "<inode> <f or d> <name>". */

#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void copy_file(const char *from, FILE *to) {
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    char buffer[65536];
    ssize_t got;
    while (fd >= 0 && (got = read(fd, buffer, sizeof buffer)) > 0) fwrite(buffer, 1, (size_t)got, to);
    if (fd >= 0) close(fd);
}

static void list_folder(const char *path, FILE *to) {
    DIR *folder = opendir(path);
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        char kind = entry->d_type == DT_DIR ? 'd' : 'f';
        fprintf(to, "%llu %c %s\n", (unsigned long long)entry->d_ino, kind, entry->d_name);
    }
    if (folder) closedir(folder);
}

static int synced(int fd) {
    const char *disk = getenv("FORGETFUL_DISK");
    struct stat status;
    if (!disk || fstat(fd, &status)) return 0;
    int is_folder = S_ISDIR(status.st_mode);
    if (!is_folder && !S_ISREG(status.st_mode)) return 0;
    char path[64], kept[4096], temporary[4200];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    snprintf(kept, sizeof kept, "%s/%s/%llu", disk, is_folder ? "folders" : "files", (unsigned long long)status.st_ino);
    snprintf(temporary, sizeof temporary, "%s.%d", kept, (int)gettid());
    FILE *to = fopen(temporary, "w");
    if (!to) abort();
    if (is_folder) list_folder(path, to); else copy_file(path, to);
    /* Whole or not at all: the program may be killed here. */
    if (fclose(to) || rename(temporary, kept)) abort();
    return 0;
}

int fsync(int fd) { return synced(fd); }
int fdatasync(int fd) { return synced(fd); }
