/* Times commands against each other, as whole processes: from the spawn to the end of the wait.
 *
 *   rounds ROUNDS FILE
 *
 * FILE holds commands, one argument a line, a line `--` after each command; a first line `rm=PATH`
 * is removed before every start, outside the time taken; a line `exit=N` names the status that is
 * right for it, where that is not 0. In every round each command runs once, in
 * turn, so that whatever else the machine does meets all of them alike. Prints one line a
 * command: the nanoseconds of every round. An interpreter would add its own noise; this doesn't.
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

enum { COMMANDS = 32, WORDS = 256 };

struct command {
    char *remove;
    int status;
    char *words[WORDS];
    int count;
    long *times;
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

int main(int argc, char **argv) {
    static struct command commands[COMMANDS];
    int count = 0;
    if (argc != 3) {
        fprintf(stderr, "usage: rounds ROUNDS FILE\n");
        return 2;
    }
    int rounds = atoi(argv[1]);
    FILE *list = fopen(argv[2], "r");
    if (!list) die(argv[2]);
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    while ((length = getline(&line, &room, list)) > 0) {
        if (line[length - 1] == '\n') line[length - 1] = 0;
        struct command *command = &commands[count];
        if (!strcmp(line, "--")) {
            command->times = calloc(rounds, sizeof(long));
            if (++count == COMMANDS) break;
        } else if (!strncmp(line, "rm=", 3)) {
            command->remove = strdup(line + 3);
        } else if (!strncmp(line, "exit=", 5)) {
            command->status = atoi(line + 5);
        } else if (command->count < WORDS - 1) {
            command->words[command->count++] = strdup(line);
        }
    }

    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < count; i++) {
            struct command *command = &commands[i];
            if (command->remove) unlink(command->remove);
            pid_t child;
            int status;
            struct rusage usage;
            long start = now();
            if (posix_spawn(&child, command->words[0], &quiet, NULL, command->words, environ)) die(command->words[0]);
            if (wait4(child, &status, 0, &usage) < 0) die("wait4");
            command->times[round] = now() - start;
            if (!WIFEXITED(status) || WEXITSTATUS(status) != command->status) {
                fprintf(stderr, "%s ended with wait status %d in round %d\n", command->words[0], status, round);
                return 1;
            }
        }
    }
    for (int i = 0; i < count; i++) {
        for (int round = 0; round < rounds; round++) printf("%ld ", commands[i].times[round]);
        printf("\n");
    }
    return 0;
}
