/* An instant cache: what a hit is measured beside.
 *
 *   asker serve SOCKET             answers whoever asks, without looking at the question
 *   asker SOCKET (FROM TO)...      asks, then hard-links each file FROM to TO
 *
 * The question is its own argument and environment block, as it lies on the stack, and the answer a few bytes: it knows
 * nothing, checks nothing, watches nothing. It sleeps until it is answered: only a cache that waits awake can be faster. The client is
 * a raw program like noop.c; so is the server, for one file. x86-64 Linux. */

typedef unsigned long word;

enum { READ = 0, WRITE = 1, CLOSE = 3, SOCKET = 41, CONNECT = 42, ACCEPT = 43, BIND = 49, LISTEN = 50, LINK = 86, EXIT = 231, SIGACTION = 13 };
enum { BYTES = 1 << 17, STREAM = 1, CLOEXEC = 02000000, WAITING = 64, BROKEN_PIPE = 13 };

static struct { unsigned short family; char path[108]; } address = {1, ""};
static char block[BYTES];

static long call(long number, word a, word b, word c, word d) {
    long result;
    register word fourth __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth) : "rcx", "r11", "memory");
    return result;
}

/* The socket's address with this path; gives its length. */
static word name(const char *path) {
    word at = 0;
    while (path[at] && at < sizeof address.path - 1) address.path[at] = path[at], at++;
    return sizeof address.family + at + 1;
}

static void serve(const char *path) {
    word ignored[4] = {1, 0, 0, 0};
    call(SIGACTION, BROKEN_PIPE, (word)ignored, 0, 8);
    long listener = call(SOCKET, 1, STREAM, 0, 0);
    if (call(BIND, listener, (word)&address, name(path), 0) || call(LISTEN, listener, WAITING, 0, 0)) return;
    for (;;) {
        long client = call(ACCEPT, listener, 0, 0, 0);
        if (client < 0) return;
        if (call(READ, client, (word)block, BYTES, 0) > 0) call(WRITE, client, (word)block, 64, 0);
        call(CLOSE, client, 0, 0, 0);
    }
}

/* 0 if all went well. */
static int ask(char **argv, char **env) {
    char *end = *argv;
    for (char **each = env; *each; each++) end = *each;
    while (*end) end++;
    long socket = call(SOCKET, 1, STREAM | CLOEXEC, 0, 0);
    if (call(CONNECT, socket, (word)&address, name(argv[1]), 0)) return 1;
    if (call(WRITE, socket, (word)*argv, end - *argv, 0) < 0 || call(READ, socket, (word)block, BYTES, 0) <= 0) return 2;
    for (char **each = argv + 2; each[0] && each[1]; each += 2) {
        if (call(LINK, (word)each[0], (word)each[1], 0, 0)) return 3;
    }
    return 0;
}

__attribute__((used)) static void run(word *stack) {
    word count = stack[0];
    char **argv = (char **)(stack + 1), **env = argv + count + 1;
    if (count == 3) serve(argv[2]);
    call(EXIT, count > 3 ? ask(argv, env) : 1, 0, 0, 0);
}

__asm__(".globl _start\n_start:\n mov %rsp, %rdi\n and $-16, %rsp\n call run\n");
