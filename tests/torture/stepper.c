/*
 * stepper N DIR REPORT PROGRAM ARGUMENTS...
 *
 * Becomes PROGRAM, and kills it with SIGKILL right before the Nth system call that changes a file below DIR.
 * With N = 0 it only counts. A filter of seccomp hands these calls to a supervisor (a grandchild of the program),
 * however they were made; everything else runs at full speed. REPORT says what was counted, and where it ended.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Calls whose first argument is an open file, and calls that take paths. */
static const struct { int number; const char *name; int by_file; } CALLS[] = {
    {SYS_write, "write", 1}, {SYS_pwrite64, "pwrite", 1}, {SYS_pwritev, "pwritev", 1},
    {SYS_pwritev2, "pwritev2", 1}, {SYS_ftruncate, "ftruncate", 1}, {SYS_fallocate, "fallocate", 1},
    {SYS_fsync, "fsync", 1}, {SYS_fdatasync, "fdatasync", 1}, {SYS_copy_file_range, "copy_file_range", 3},
    {SYS_renameat, "renameat", 0}, {SYS_renameat2, "renameat2", 0}, {SYS_unlinkat, "unlinkat", 0},
    {SYS_linkat, "linkat", 0}, {SYS_mkdirat, "mkdirat", 0}, {SYS_openat, "create", 0},
#ifdef SYS_rename
    {SYS_rename, "rename", 0}, {SYS_unlink, "unlink", 0}, {SYS_link, "link", 0}, {SYS_mkdir, "mkdir", 0},
    {SYS_rmdir, "rmdir", 0},
#endif
};
#define CALL_COUNT (sizeof CALLS / sizeof *CALLS)

static void die(const char *what) { perror(what); _exit(125); }

static int install(void) {
    struct sock_filter code[CALL_COUNT * 2 + 8];
    unsigned short n = 0;
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALL_COUNT; i++) {
        if (CALLS[i].number == SYS_openat) continue;
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALLS[i].number, 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    }
    /* An openat that creates. */
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2]));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_CREAT, 0, 1);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {n, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) die("no_new_privs");
    int fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (fd < 0) die("seccomp");
    return fd;
}

/* Both ends of handing over an open file. `fd` is -1 to receive. */
static int hand_over(int line, int fd) {
    char byte = 0, space[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec io = {&byte, 1};
    struct msghdr message = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    if (fd < 0) {
        if (recvmsg(line, &message, 0) != 1 || !CMSG_FIRSTHDR(&message)) return -1;
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
        return fd;
    }
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    return sendmsg(line, &message, 0) == 1 ? fd : -1;
}

static const char *name_of(const struct seccomp_data *data, int *by_file) {
    for (size_t i = 0; i < CALL_COUNT; i++)
        if (CALLS[i].number == data->nr) { *by_file = CALLS[i].by_file; return CALLS[i].name; }
    *by_file = 0;
    return "other";
}

/* The file that a call is about; empty if it is none below DIR. Paths count wherever they lead. */
static void file_of(pid_t pid, const struct seccomp_data *data, int by_file, const char *dir, char *path, size_t size) {
    char link[64];
    path[0] = 0;
    if (!by_file) {
        snprintf(link, sizeof link, "/proc/%d/mem", pid);
        int memory = open(link, O_RDONLY | O_CLOEXEC);
        int at = data->nr == SYS_openat || data->nr == SYS_unlinkat || data->nr == SYS_renameat ||
            data->nr == SYS_renameat2 || data->nr == SYS_linkat || data->nr == SYS_mkdirat;
        ssize_t got = memory < 0 ? -1 : pread(memory, path, size - 1, (off_t)data->args[at]);
        if (memory >= 0) close(memory);
        path[got > 0 ? got : 0] = 0;
        if (!path[0]) strcpy(path, "?");
        return;
    }
    snprintf(link, sizeof link, "/proc/%d/fd/%d", pid, (int)data->args[by_file == 3 ? 2 : 0]);
    ssize_t got = readlink(link, path, size - 1);
    path[got > 0 ? got : 0] = 0;
    if (strncmp(path, dir, strlen(dir))) path[0] = 0;
}

static void supervise(int listener, pid_t pid, unsigned long limit, const char *dir, const char *report) {
    static char path[4096];
    unsigned long count = 0;
    struct seccomp_notif asked;
    struct seccomp_notif_resp answer;
    int out = open(report, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (;;) {
        struct pollfd ready = {listener, POLLIN, 0};
        if (poll(&ready, 1, -1) < 0 && errno != EINTR) break;
        if (!(ready.revents & POLLIN)) {
            if (ready.revents & (POLLHUP | POLLERR)) break;
            continue;
        }
        memset(&asked, 0, sizeof asked);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked)) continue;
        int by_file;
        const char *name = name_of(&asked.data, &by_file);
        file_of((pid_t)asked.pid, &asked.data, by_file, dir, path, sizeof path);
        if (path[0] && ++count == limit) {
            kill(pid, SIGKILL);
            dprintf(out, "killed before call %lu: %s %s\n", count, name, path);
            _exit(0);
        }
        memset(&answer, 0, sizeof answer);
        answer.id = asked.id, answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
    dprintf(out, "ended after call %lu\n", count);
    _exit(0);
}

int main(int argc, char **argv) {
    if (argc < 5) { fprintf(stderr, "usage: stepper N DIR REPORT PROGRAM ARGUMENTS...\n"); return 2; }
    int line[2];
    pid_t me = getpid();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, line)) die("socketpair");
    pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
        if (fork()) _exit(0);
        setsid();
        int null = open("/dev/null", O_RDWR);
        for (int fd = 0; fd < 3; fd++) dup2(null, fd);
        close(line[1]);
        int listener = hand_over(line[0], -1);
        if (listener < 0) _exit(1);
        supervise(listener, me, strtoul(argv[1], NULL, 10), argv[2], argv[3]);
    }
    waitpid(child, NULL, 0);
    close(line[0]);
    int listener = install();
    if (hand_over(line[1], listener) < 0) die("hand over");
    close(listener), close(line[1]);
    execv(argv[4], argv + 4);
    die(argv[4]);
}
