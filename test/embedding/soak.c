// Long use of the runtime: threads that execute while models come and go, many requests.
#include "growth.h"
#include "model.h"

static const char* path;
static int num_left;

static void* serve(void* models) {
  Model mine[4];
  for (int i = 0; i < 4; ++i) {
    mine[i] = ((Model*)models)[i];
    make_tensors(&mine[i]);
  }
  for (int i; (i = __atomic_sub_fetch(&num_left, 1, __ATOMIC_SEQ_CST)) >= 0;) run(&mine[i % 4]);
  for (int i = 0; i < 4; ++i) free_tensors(&mine[i]);
  return NULL;
}

// Eight clients, four models, and others that are loaded, run and unloaded meanwhile.
static void clients(int num_requests) {
  Model models[4];
  pthread_t threads[8];
  for (int i = 0; i < 4; ++i) GOOD(nrt_load_file(path, -1, -1, &models[i].model));
  __atomic_store_n(&num_left, num_requests, __ATOMIC_SEQ_CST);
  for (int i = 0; i < 8; ++i) pthread_create(&threads[i], NULL, serve, models);
  while (__atomic_load_n(&num_left, __ATOMIC_SEQ_CST) > 0) {
    Model passing;
    load(&passing, path);
    run(&passing);
    GOOD(nrt_unload(passing.model));
    free_tensors(&passing);
  }
  for (int i = 0; i < 8; ++i) pthread_join(threads[i], NULL);
  for (int i = 0; i < 4; ++i) GOOD(nrt_unload(models[i].model));
}

static void requests(int count) {
  Model model;
  load(&model, path);
  for (int i = 0; i < count; ++i) run(&model);
  GOOD(nrt_unload(model.model));
  free_tensors(&model);
}

int main(int argc, char** argv) {
  CHECK(argc == 4, "usage: CASE COUNT MODEL.neff");
  const int count = atoi(argv[2]);
  path = argv[3];
  GOOD(nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", ""));
  if (strcmp(argv[1], "clients") == 0) {
    clients(count);
  } else if (strcmp(argv[1], "requests") == 0) {
    growth(requests, count);
  } else {
    CHECK(0, "no case %s", argv[1]);
  }
  nrt_close();
  return 0;
}
