//! Interpretation of a broker's response about a batch.

use kafka_protocol::ResponseError;
use kafka_protocol::error::ParseResponseErrorCode;

/// Result of a sent batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is in Kafka.
    Written,
    /// It must be sent again, for this reason. If the connection ended or the broker timed out, it may be in Kafka.
    Again(String),
    /// Its sequence number does not follow the last one seen by the broker.
    OutOfOrder,
    /// The broker no longer knows the producer, or knows a later epoch of it.
    UnknownProducer(String),
    /// It will never be written, for this reason.
    Refused(String),
}

/// Interprets the error code of a produce response.
pub(crate) fn answer(code: i16, message: Option<&str>) -> Answer {
    use ResponseError as Error;
    let Some(error) = code.err() else { return Answer::Written };
    let text = message.map_or_else(|| error.to_string(), |message| format!("{error}: {message}"));
    match error {
        // An older batch of this producer; newer ones have been acknowledged since.
        Error::DuplicateSequenceNumber => Answer::Written,
        Error::OutOfOrderSequenceNumber => Answer::OutOfOrder,
        Error::UnknownProducerId | Error::InvalidProducerEpoch | Error::ProducerFenced => {
            Answer::UnknownProducer(text)
        }
        Error::BrokerNotAvailable => Answer::Again(text),
        error if error.is_retriable() => Answer::Again(text),
        _ => Answer::Refused(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: errors are interpreted by Kafka's numbers (`Errors.java`), including one unknown to this client.
    #[test]
    fn errors_by_number() {
        let again = |code| matches!(answer(code, None), Answer::Again(_));
        for code in [2, 3, 5, 6, 7, 8, 9, 13, 19, 20, 56, 74, 75] {
            assert!(again(code), "{code}: {:?}", answer(code, None));
        }
        for code in [-1, 10, 17, 18, 29, 31, 32, 42, 43, 44, 87, 9_999] {
            assert!(matches!(answer(code, None), Answer::Refused(_)), "{code}: {:?}", answer(code, None));
        }
        assert_eq!((answer(0, None), answer(46, None)), (Answer::Written, Answer::Written));
        assert_eq!(answer(45, Some("x")), Answer::OutOfOrder);
        for code in [47, 59, 90] {
            assert!(matches!(answer(code, None), Answer::UnknownProducer(_)), "{code}");
        }
        let Answer::Refused(text) = answer(10, Some("of 5 bytes")) else { panic!("refused") };
        assert!(text.ends_with(": of 5 bytes"), "{text}");
    }
}
