package rescaler.jobs.config;

import java.util.List;

/** All problems of a job document; each names the key, the problem and the remedy. */
public final class JobDocumentException extends Exception {
    private static final long serialVersionUID = 1L;

    private final List<String> problems;

    JobDocumentException(List<String> problems) {
        super("the job document was refused: " + String.join(" | ", problems));
        this.problems = List.copyOf(problems);
    }

    public List<String> problems() {
        return problems;
    }
}
