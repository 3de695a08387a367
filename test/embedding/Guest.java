import java.util.ArrayList;

/** Compiles models in a JVM whose other threads collect garbage and take implicit null checks. */
public class Guest {
  static native int compile(String model);

  private static int[] absent;  // stays null: each access is a fault that the JVM turns into an exception

  private static int touch() {
    return absent.length;
  }

  private static void start(Runnable body) {
    Thread thread = new Thread(body);
    thread.setDaemon(true);
    thread.start();
  }

  private static void makeGarbage() {
    ArrayList<byte[]> list = new ArrayList<>();
    while (true) {
      list.add(new byte[10000]);
      if (list.size() > 2000) list.clear();
    }
  }

  private static void takeFaults() {
    while (true) {
      try {
        touch();
      } catch (NullPointerException expected) {
        continue;
      }
    }
  }

  public static void main(String[] args) throws Exception {
    System.load(args[0]);
    start(Guest::makeGarbage);
    start(Guest::takeFaults);
    Thread.sleep(300);
    for (int i = 0; i < 100; i++) {
      int code = compile(args[1]);
      if (code != 0) throw new IllegalStateException("compile " + i + " ended with " + code);
    }
    System.out.println("100 models compiled");
  }
}
