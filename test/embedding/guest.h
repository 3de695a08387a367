// What the programs of this folder share: a check that ends the program, and looks at the process.
#ifndef NEURONC_TEST_EMBEDDING_GUEST_H_
#define NEURONC_TEST_EMBEDDING_GUEST_H_

#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition, ...)                                         \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
      fprintf(stderr, __VA_ARGS__);                                   \
      fprintf(stderr, "\n");                                          \
      _exit(1);                                                       \
    }                                                                 \
  } while (0)

// Sanitizers make everything many times slower, and keep freed memory for a while.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { kIsSanitized = 1 };
#else
enum { kIsSanitized = 0 };
#endif

// The number behind `key` in /proc/self/status, read in `base`.
static inline unsigned long long status_number(const char* path, const char* key, int base) {
  FILE* file = fopen(path, "r");
  char line[256];
  unsigned long long value = 0;
  if (file == NULL) return 0;
  while (fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, key, strlen(key)) == 0) value = strtoull(line + strlen(key), NULL, base);
  }
  fclose(file);
  return value;
}

static inline int num_threads(void) {
  const int count = (int)status_number("/proc/self/status", "Threads:", 10);
#ifdef __SANITIZE_THREAD__
  return count - 1;  // its own
#else
  return count;
#endif
}

// Waits until the process has `wanted` threads, and gives how many it has. A thread that was joined
// may be counted for a moment longer: it is joined when it leaves its memory, before it is gone.
static inline int settled_threads(int wanted) {
  int count = num_threads();
  for (int i = 0; i < 2000 && count != wanted; ++i) {
    usleep(1000);
    count = num_threads();
  }
  return count;
}

// Calls `look(name, blocked signals)` for each thread of the process.
static inline void each_thread(void (*look)(const char* name, unsigned long long blocked)) {
  DIR* tasks = opendir("/proc/self/task");
  for (struct dirent* entry; (entry = readdir(tasks)) != NULL;) {
    char path[300];
    char name[32] = "";
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
    FILE* file = fopen(path, "r");
    if (file == NULL || fgets(name, sizeof name, file) == NULL) name[0] = 0;
    if (file != NULL) fclose(file);
    name[strcspn(name, "\n")] = 0;
    snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
    const unsigned long long blocked = status_number(path, "SigBlk:", 16);
    if (name[0] != 0 && blocked != 0) look(name, blocked);
  }
  closedir(tasks);
}

static inline double now_s(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

#endif  // NEURONC_TEST_EMBEDDING_GUEST_H_
