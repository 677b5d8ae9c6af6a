package rescaler.jobs.tools;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import rescaler.jobs.events.EventDecoder;
import rescaler.jobs.events.MalformedEventException;

/**
 * Converts records on standard input to JSON on standard output, one object per line, with the jobs' decoder.
 *
 * <p>A record is preceded by its length (4 bytes, little-endian), as written by {@code event-producer generate
 * --format wire}. It serves to compare the two decoders on any number of events. It exits with 1 at the first record
 * that is not an event, and names it.
 */
public final class WireToJson {
    /** Larger than any record in Kafka by default; a larger length means that the input is something else. */
    private static final int RECORD_BYTES_MAX = 16 << 20;

    private WireToJson() {}

    public static void main(String[] args) throws IOException {
        if (args.length > 0) {
            System.err.println("usage: WireToJson < RECORDS > LINES");
            System.exit(2);
        }
        try (OutputStream out = new BufferedOutputStream(System.out, 1 << 16)) {
            convert(new BufferedInputStream(System.in, 1 << 16), out);
        } catch (MalformedInputException problem) {
            System.err.println("error: " + problem.getMessage());
            System.exit(1);
        }
    }

    /** Converts all records of the input; the output before a problem has been written. */
    static void convert(InputStream in, OutputStream out) throws IOException, MalformedInputException {
        EventDecoder decoder = new EventDecoder();
        StringBuilder line = new StringBuilder();
        for (long number = 0; ; number++) {
            byte[] record = next(in, number);
            if (record == null) {
                return;
            }
            line.setLength(0);
            try {
                EventJson.append(decoder.decode(record, 0), line);
            } catch (MalformedEventException problem) {
                throw new MalformedInputException("record " + number + ": " + problem.getMessage(), problem);
            }
            out.write(line.append('\n').toString().getBytes(StandardCharsets.UTF_8));
        }
    }

    /** Returns the next record, or null at the end of the input. */
    private static byte[] next(InputStream in, long number) throws IOException, MalformedInputException {
        byte[] prefix = in.readNBytes(Integer.BYTES);
        if (prefix.length == 0) {
            return null;
        }
        if (prefix.length < Integer.BYTES) {
            throw new MalformedInputException("the length of record " + number + " is cut off", new EOFException());
        }
        int length = ByteBuffer.wrap(prefix).order(ByteOrder.LITTLE_ENDIAN).getInt();
        if (length < 0 || length > RECORD_BYTES_MAX) {
            String message = "record " + number + " claims " + Integer.toUnsignedLong(length) + " bytes, at most "
                    + RECORD_BYTES_MAX + " are possible";
            throw new MalformedInputException(message, null);
        }
        byte[] record = in.readNBytes(length);
        if (record.length < length) {
            throw new MalformedInputException("record " + number + " is cut off", new EOFException());
        }
        return record;
    }

    /** Names the record that could not be read. */
    static final class MalformedInputException extends Exception {
        private static final long serialVersionUID = 1L;

        MalformedInputException(String message, Exception cause) {
            super(message, cause);
        }
    }
}
