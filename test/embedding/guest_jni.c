// The bridge of Guest.java.
#include <jni.h>
#include <neuronc/neuronc.h>

JNIEXPORT jint JNICALL Java_Guest_compile(JNIEnv* env, jclass class, jstring model) {
  (void)class;
  const char* path = (*env)->GetStringUTFChars(env, model, 0);
  neuronc_result* result = neuronc_compile_file(path, 0, 0);
  const int code = neuronc_result_exit_code(result);
  neuronc_result_free(result);
  (*env)->ReleaseStringUTFChars(env, model, path);
  return code;
}
