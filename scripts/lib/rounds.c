/* Times commands against each other, as whole processes: from the spawn to the end of the wait.
 *
 *   rounds ROUNDS TIMES FILE
 *
 * FILE holds commands, one argument a line, a line `@END@` after each command. First lines `rm=PATH`
 * are removed before every start, outside the time taken; `env=NAME=VALUE` are set for it; `exit=N` is
 * the status that is right for it, where that is not 0. `@ROUND@`
 * in an argument becomes the round's number. In every round each command gets one turn, in an order drawn anew,
 * so that whatever else the machine does, and whatever ran before, meets all of them alike. In its turn it runs
 * TIMES times, one behind the other. Prints two lines a command: the nanoseconds of each turn's first run and of its last,
 * -1 for one that did not end well. An interpreter would add its own noise; this doesn't.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COMMANDS = 64, WORDS = 256, EXTRAS = 16, VARIABLES = 1024 };

struct command {
    char *removed[EXTRAS], *set[EXTRAS], *words[WORDS], *environment[VARIABLES];
    int removes, sets, count, status;
    /* The argument that names the round, as printf wants it, or 0. */
    int changing;
    char *pattern;
    long *first, *last;
};

extern char **environ;

static long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(2);
}

/* Our environment with the command's own variables in place of others of these names. */
static void set_environment(struct command *command) {
    int count = 0;
    for (char **each = environ; *each && count < VARIABLES - EXTRAS - 1; each++) {
        int replaced = 0;
        for (int i = 0; i < command->sets; i++) {
            size_t name = strchr(command->set[i], '=') + 1 - command->set[i];
            replaced |= !strncmp(*each, command->set[i], name);
        }
        if (!replaced) command->environment[count++] = *each;
    }
    for (int i = 0; i < command->sets; i++) command->environment[count++] = command->set[i];
}

/* Splits an argument at `@ROUND@`. */
static void note_round(struct command *command) {
    char *word = command->words[command->count - 1], *at = strstr(word, "@ROUND@");
    if (!at) return;
    command->changing = command->count - 1;
    command->pattern = malloc(strlen(word) + 1);
    sprintf(command->pattern, "%.*s%%d%s", (int)(at - word), word, at + 7);
    command->words[command->changing] = malloc(strlen(word) + 16);
}

/* Draws an order; the same ones in each run of this program. */
static void shuffle(struct command **order, int count) {
    for (int i = count - 1; i > 0; i--) {
        int other = rand() % (i + 1);
        struct command *moved = order[i];
        order[i] = order[other];
        order[other] = moved;
    }
}

/* Runs it once: nanoseconds, or -1. */
static long run(struct command *command, posix_spawn_file_actions_t *quiet) {
    for (int n = 0; n < command->removes; n++) unlink(command->removed[n]);
    pid_t child;
    int status;
    struct rusage usage;
    long start = now();
    if (posix_spawn(&child, command->words[0], quiet, NULL, command->words, command->environment)) die(command->words[0]);
    if (wait4(child, &status, 0, &usage) < 0) die("wait4");
    long taken = now() - start;
    return WIFEXITED(status) && WEXITSTATUS(status) == command->status ? taken : -1;
}

static void print(const long *times, int count) {
    for (int i = 0; i < count; i++) printf("%ld ", times[i]);
    printf("\n");
}

int main(int argc, char **argv) {
    static struct command commands[COMMANDS];
    int count = 0;
    if (argc != 4) {
        fprintf(stderr, "usage: rounds ROUNDS TIMES FILE\n");
        return 2;
    }
    int rounds = atoi(argv[1]), times = atoi(argv[2]);
    FILE *list = fopen(argv[3], "r");
    if (!list) die(argv[3]);
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    while ((length = getline(&line, &room, list)) > 0) {
        if (line[length - 1] == '\n') line[length - 1] = 0;
        struct command *command = &commands[count];
        if (!strcmp(line, "@END@")) {
            command->first = calloc(rounds, sizeof(long));
            command->last = calloc(rounds, sizeof(long));
            set_environment(command);
            if (++count == COMMANDS) break;
        } else if (!strncmp(line, "rm=", 3) && command->removes < EXTRAS) {
            command->removed[command->removes++] = strdup(line + 3);
        } else if (!strncmp(line, "exit=", 5)) {
            command->status = atoi(line + 5);
        } else if (!strncmp(line, "env=", 4) && strchr(line + 4, '=') && command->sets < EXTRAS) {
            command->set[command->sets++] = strdup(line + 4);
        } else if (command->count < WORDS - 1) {
            command->words[command->count++] = strdup(line);
            note_round(command);
        }
    }

    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
    struct command *order[COMMANDS];
    for (int i = 0; i < count; i++) order[i] = &commands[i];
    for (int round = 0; round < rounds; round++) {
        shuffle(order, count);
        for (int i = 0; i < count; i++) {
            struct command *command = order[i];
            if (command->pattern) sprintf(command->words[command->changing], command->pattern, round);
            for (int time = 0; time < times; time++) {
                long taken = run(command, &quiet);
                if (!time) command->first[round] = taken;
                command->last[round] = taken;
            }
        }
    }
    for (int i = 0; i < count; i++) {
        print(commands[i].first, rounds);
        print(commands[i].last, rounds);
    }
    return 0;
}
