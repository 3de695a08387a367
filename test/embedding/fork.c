// The child of a process that runs models: it may always exit and close; models of its parent are
// refused with what to do, and it may load its own. The parent goes on undisturbed.
#include <sys/wait.h>

#include "model.h"

static const char* path;
static Model parents;

// Runs `child` after a fork and gives its exit status; a child that hangs is killed by its alarm.
static int status_of(void (*child)(void)) {
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(20);
    child();
    exit(0);  // with the library's clean-up at exit
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return status;
}

static void use_parents(void) {
  CHECK(execute(&parents) == NRT_INVALID_HANDLE, "the parent's model was run");
  CHECK(strstr(nrt_get_last_message(), "load it again") != NULL, "%s", nrt_get_last_message());
  uint32_t count = 0;
  CHECK(nrt_get_model_nc_count(parents.model, &count) == NRT_INVALID_HANDLE, "it has cores");
  GOOD(nrt_unload(parents.model));
}

static void close_there(void) { nrt_close(); }

static void run_own(void) {
  Model own;
  load(&own, path);
  run(&own);
  free_tensors(&own);
  GOOD(nrt_unload(own.model));
  nrt_close();
}

static void close_and_begin(void) {
  nrt_close();
  GOOD(nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", ""));
  run_own();
}

static void run_in_grandchild(void) {
  run_own();
  GOOD(nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", ""));
  CHECK(status_of(run_own) == 0, "the grandchild failed");
}

static int is_done;

static void* keep_running(void* unused) {
  Model mine = parents;
  make_tensors(&mine);
  while (!__atomic_load_n(&is_done, __ATOMIC_ACQUIRE)) run(&mine);
  free_tensors(&mine);
  return unused;
}

// Whatever the parent's other threads are doing at that moment.
static void fork_while_running(void) {
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) pthread_create(&threads[i], NULL, keep_running, NULL);
  for (int i = 0; i < 20; ++i) {
    usleep(2000);
    CHECK(status_of(i % 2 == 0 ? use_parents : run_own) == 0, "child %d failed", i);
  }
  __atomic_store_n(&is_done, 1, __ATOMIC_RELEASE);
  for (int i = 0; i < 2; ++i) pthread_join(threads[i], NULL);
}

int main(int argc, char** argv) {
  CHECK(argc == 3, "usage: CASE MODEL.neff");
  path = argv[2];
  GOOD(nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", ""));
  load(&parents, path);
  const double expected = run(&parents);
  if (strcmp(argv[1], "use") == 0)
    CHECK(status_of(use_parents) == 0, "the child failed");
  else if (strcmp(argv[1], "close") == 0)
    CHECK(status_of(close_there) == 0, "the child failed");
  else if (strcmp(argv[1], "reload") == 0)
    CHECK(status_of(close_and_begin) == 0, "it failed");
  else if (strcmp(argv[1], "new_models") == 0)
    CHECK(status_of(run_in_grandchild) == 0, "it failed");
  else if (strcmp(argv[1], "while_running") == 0)
    fork_while_running();
  else
    CHECK(0, "no case %s", argv[1]);
  CHECK(run(&parents) == expected, "the parent's outputs changed");
  free_tensors(&parents);
  GOOD(nrt_unload(parents.model));
  nrt_close();
  return 0;
}
