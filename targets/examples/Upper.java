/* A service in Java, on JeroMQ: Upper ENDPOINT [hardened]. It turns requests to upper case and sends them back.

   Weakness: a request is copied into an array of 256 octets, whatever its size: a longer one ends the program
   (ArrayIndexOutOfBoundsException).
   Hardened: the size is looked at first; what is too long is answered with an error. Frames have a limit: JeroMQ makes
   an array of the size that a frame announces, and of the largest one its I/O thread ends (OutOfMemoryError).
   Build: javac -cp jeromq.jar -d . Upper.java; run: java -cp jeromq.jar:. Upper ENDPOINT */

import java.nio.charset.StandardCharsets;
import org.zeromq.ZMQ;

public final class Upper {
    private static final int LINE = 256;
    private static final int FRAME = 65536;

    private Upper() {}

    private static byte[] answer(byte[] body, boolean hardened) {
        if (hardened && body.length > LINE) {
            return "error: too long".getBytes(StandardCharsets.US_ASCII);
        }
        byte[] line = new byte[LINE];
        System.arraycopy(body, 0, line, 0, body.length);
        String text = new String(line, 0, body.length, StandardCharsets.ISO_8859_1);
        return text.toUpperCase().getBytes(StandardCharsets.ISO_8859_1);
    }

    public static void main(String[] words) {
        boolean hardened = words.length > 1 && words[1].equals("hardened");
        ZMQ.Context context = ZMQ.context(1);
        ZMQ.Socket socket = context.socket(ZMQ.REP);
        socket.setLinger(0);
        if (hardened) {
            socket.setMaxMsgSize(FRAME);
        }
        socket.bind(words[0]);
        while (!Thread.currentThread().isInterrupted()) {
            byte[] body = socket.recv(0);
            while (socket.hasReceiveMore()) {
                body = socket.recv(0);
            }
            socket.send(answer(body == null ? new byte[0] : body, hardened), 0);
        }
    }
}
