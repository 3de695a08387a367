// The compiler as a guest: compiles are independent of each other and of the calling thread's
// state, and leave the process as it is.
#include <fenv.h>
#include <neuronc/neuronc.h>
#include <xmmintrin.h>

#include "guest.h"

static const char* model;
static int is_done;

static neuronc_result* compile(void) {
  neuronc_result* result = neuronc_compile_file(model, NULL, 0);
  CHECK(neuronc_result_exit_code(result) == 0, "%s", neuronc_result_messages(result));
  return result;
}

static int are_same(neuronc_result* a, neuronc_result* b) {
  size_t a_bytes = 0;
  size_t b_bytes = 0;
  const void* a_neff = neuronc_result_neff(a, &a_bytes);
  const void* b_neff = neuronc_result_neff(b, &b_bytes);
  return a_bytes > 0 && a_bytes == b_bytes && memcmp(a_neff, b_neff, a_bytes) == 0;
}

static void* compile_in_thread(void* unused) {
  (void)unused;
  return compile();
}

// Eight threads at once give the bytes of one.
static void same_bytes(void) {
  pthread_t threads[8];
  neuronc_result* alone = compile();
  for (int i = 0; i < 8; ++i) pthread_create(&threads[i], NULL, compile_in_thread, NULL);
  for (int i = 0; i < 8; ++i) {
    void* result = NULL;
    pthread_join(threads[i], &result);
    CHECK(are_same(alone, result), "thread %d made other bytes", i);
    neuronc_result_free(result);
  }
  neuronc_result_free(alone);
}

static struct sigaction before[65];

static void* watch_handlers(void* unused) {
  (void)unused;
  for (long rounds = 0; !__atomic_load_n(&is_done, __ATOMIC_ACQUIRE) || rounds < 2; ++rounds) {
    for (int number = 1; number < 32; ++number) {
      struct sigaction now;
      sigaction(number, NULL, &now);
      CHECK(now.sa_handler == before[number].sa_handler, "signal %d got a handler", number);
    }
  }
  return NULL;
}

static void compile_beside(void* (*other)(void*)) {
  pthread_t thread;
  pthread_create(&thread, NULL, other, NULL);
  for (int i = 0; i < 5; ++i) neuronc_result_free(compile());
  __atomic_store_n(&is_done, 1, __ATOMIC_RELEASE);
  pthread_join(thread, NULL);
}

// No signal has another handler at any time.
static void handlers(void) {
  for (int number = 1; number < 32; ++number) sigaction(number, NULL, &before[number]);
  compile_beside(watch_handlers);
}

static char* page;
static volatile long num_faults;
static volatile long num_foreign;

static void on_fault(int number, siginfo_t* info, void* context) {
  (void)number;
  (void)context;
  ++num_faults;
  if (info->si_code <= 0 || info->si_addr != page) ++num_foreign;
  mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void* keep_faulting(void* unused) {
  (void)unused;
  while (!__atomic_load_n(&is_done, __ATOMIC_ACQUIRE)) {
    mprotect(page, 4096, PROT_NONE);
    *(volatile char*)page = 1;
  }
  return NULL;
}

// The application's own faults arrive as they are.
static void faults(void) {
  page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSEGV, &action, NULL);
  compile_beside(keep_faulting);
  CHECK(num_faults > 0, "no fault was raised");
  CHECK(num_foreign == 0, "%ld of %ld faults came without their address", num_foreign, num_faults);
}

// What the caller does with floating point is not the compiler's business, nor the other way round.
static void float_environment(void) {
  const unsigned saved = _mm_getcsr();
  neuronc_result* plain = compile();
  const unsigned kModes[] = {saved | 0x8040, saved | 0x2000, saved | 0x4000, saved | 0x6000};
  for (int i = 0; i < 4; ++i) {
    _mm_setcsr(kModes[i]);
    neuronc_result* other = compile();
    const unsigned kKept = 0xffc0;
    CHECK((_mm_getcsr() & kKept) == (kModes[i] & kKept), "mode %x became %x", kModes[i],
          _mm_getcsr());
    _mm_setcsr(saved);
    CHECK(are_same(plain, other), "mode %x gives other bytes", kModes[i]);
    neuronc_result_free(other);
  }
  fesetround(FE_UPWARD);
  neuronc_result* up = compile();
  CHECK(fegetround() == FE_UPWARD, "the rounding mode was changed");
  fesetround(FE_TONEAREST);
  CHECK(are_same(plain, up), "rounding up gives other bytes");
  neuronc_result_free(up);
  neuronc_result_free(plain);
}

static int num_open_threads;
static int num_helpers;

static void look_at_thread(const char* name, unsigned long long blocked) {
  if (strcmp(name, "neuronc llvm") != 0) return;
  ++num_helpers;
  const unsigned long long kAsked =
      1ull << (SIGTERM - 1) | 1ull << (SIGINT - 1) | 1ull << (SIGCHLD - 1) | 1ull << (SIGUSR1 - 1);
  if ((blocked & kAsked) != kAsked) ++num_open_threads;
}

static void* watch_threads(void* unused) {
  (void)unused;
  while (!__atomic_load_n(&is_done, __ATOMIC_ACQUIRE)) each_thread(look_at_thread);
  return NULL;
}

// Helper threads take no signals, and none is left.
static void threads(void) {
  compile_beside(watch_threads);
  CHECK(num_open_threads == 0, "a thread of the compiler takes signals");
  CHECK(sysconf(_SC_NPROCESSORS_ONLN) < 2 || num_helpers > 0, "no helper thread was seen");
  CHECK(settled_threads(1) == 1, "%d threads are left", num_threads());
}

static pthread_t caller;
static int num_calls;

static int on_progress(void* user_data, const neuronc_progress* progress) {
  (void)progress;
  CHECK(pthread_equal(caller, pthread_self()), "a callback came on another thread");
  ++*(int*)user_data;
  return *(int*)user_data == 20;  // cancels the second compile
}

static neuronc_result* compile_with_progress(int calls_before) {
  neuronc_job job = {.size = sizeof job, .path = model, .progress = on_progress};
  num_calls = calls_before;
  job.user_data = &num_calls;
  return neuronc_compile(&job);
}

static void* compile_in_little_stack(void* unused) {
  caller = pthread_self();
  neuronc_result* result = compile_with_progress(1 << 20);
  CHECK(neuronc_result_exit_code(result) == 0, "%s", neuronc_result_messages(result));
  CHECK(num_calls > (1 << 20), "no progress was told");
  neuronc_result* stopped = compile_with_progress(19);
  CHECK(strstr(neuronc_result_messages(stopped), "NEU0006") != NULL, "%s",
        neuronc_result_messages(stopped));
  neuronc_result_free(stopped);
  (void)unused;
  return result;
}

// A thread may have as little stack as servers with thousands of them give it; callbacks come on it.
static void small_stack(void) {
  pthread_attr_t attributes;
  pthread_t thread;
  void* result = NULL;
  neuronc_result* plain = compile();
  pthread_attr_init(&attributes);
  CHECK(pthread_attr_setstacksize(&attributes, kIsSanitized ? 256 << 10 : 64 << 10) == 0, "size");
  CHECK(pthread_create(&thread, &attributes, compile_in_little_stack, NULL) == 0, "no thread");
  pthread_join(thread, &result);
  CHECK(are_same(plain, result), "it made other bytes");
  neuronc_result_free(result);
  neuronc_result_free(plain);
  pthread_attr_destroy(&attributes);
}

static void* keep_compiling(void* unused) {
  for (;;) {
    neuronc_result_free(compile());
    __atomic_store_n(&is_done, 1, __ATOMIC_SEQ_CST);
    pthread_testcancel();
  }
  return unused;
}

// pthread_cancel ends a thread before or behind a compile, never inside of one.
static void cancelled(void) {
  for (int i = 0; i < 3; ++i) {
    pthread_t thread;
    void* result = NULL;
    __atomic_store_n(&is_done, 0, __ATOMIC_SEQ_CST);
    pthread_create(&thread, NULL, keep_compiling, NULL);
    while (__atomic_load_n(&is_done, __ATOMIC_SEQ_CST) == 0) usleep(100);
    usleep((useconds_t)(i * 31000));
    pthread_cancel(thread);
    pthread_join(thread, &result);
    CHECK(result == PTHREAD_CANCELED, "the thread was not cancelled");
    neuronc_result_free(compile());
  }
}

int main(int argc, char** argv) {
  CHECK(argc == 3, "usage: CASE MODEL");
  model = argv[2];
  if (strcmp(argv[1], "same_bytes") == 0)
    same_bytes();
  else if (strcmp(argv[1], "handlers") == 0)
    handlers();
  else if (strcmp(argv[1], "faults") == 0)
    faults();
  else if (strcmp(argv[1], "float_environment") == 0)
    float_environment();
  else if (strcmp(argv[1], "threads") == 0)
    threads();
  else if (strcmp(argv[1], "small_stack") == 0)
    small_stack();
  else if (strcmp(argv[1], "cancelled") == 0)
    cancelled();
  else
    CHECK(0, "no case %s", argv[1]);
  return 0;
}
