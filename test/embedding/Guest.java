import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;

/** Compiles models in a JVM whose other threads collect garbage and take implicit null checks. */
public class Guest {
  static native int compile(String model);

  private static int[] absent;  // stays null: each access is a fault that the JVM turns into an exception

  private static volatile long numFaults;

  // Leaves most of a busy machine's time to the compiler.
  private static void rest() {
    try {
      Thread.sleep(1);
    } catch (InterruptedException never) {
      throw new IllegalStateException(never);
    }
  }

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
      if (list.size() <= 2000) continue;
      list.clear();
      rest();
    }
  }

  private static void takeFaults() {
    while (true) {
      for (int i = 0; i < 100; i++) {
        try {
          touch();
        } catch (NullPointerException expected) {
          numFaults++;
        }
      }
      rest();
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
    long numCollections = 0;
    for (GarbageCollectorMXBean collector : ManagementFactory.getGarbageCollectorMXBeans()) {
      numCollections += collector.getCollectionCount();
    }
    System.out.println("100 models, " + numCollections + " collections, " + numFaults + " faults");
    if (numCollections < 100 || numFaults < 100) throw new IllegalStateException("it was quiet");
  }
}
