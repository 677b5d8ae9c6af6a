package rescaler.benchmarks;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.Serializer;
import com.esotericsoftware.kryo.io.Input;
import com.esotericsoftware.kryo.io.Output;
import rescaler.jobs.events.Auction;
import rescaler.jobs.events.Bid;
import rescaler.jobs.events.Event;
import rescaler.jobs.events.Item;
import rescaler.jobs.events.Person;

/**
 * The NexMark events in Kryo, each with a serializer of its own that reads and writes field by field, without
 * reflection: Kryo at its best, short of leaving Kryo.
 *
 * <p>Fixed 8 bytes an integer, as on our wire. Otherwise everything is as Kryo does it by default.
 */
final class KryoEvents {
    private KryoEvents() {}

    /** A Kryo that knows the four events. */
    static Kryo newKryo() {
        Kryo kryo = new Kryo();
        kryo.register(Person.class, new PersonSerializer());
        kryo.register(Item.class, new ItemSerializer());
        kryo.register(Auction.class, new AuctionSerializer());
        kryo.register(Bid.class, new BidSerializer());
        return kryo;
    }

    /** The record of this event; its class is not in it, since a topic holds only one. */
    static byte[] encoded(Kryo kryo, Event event) {
        Output output = new Output(256, -1);
        kryo.writeObject(output, event);
        return output.toBytes();
    }

    private static final class PersonSerializer extends Serializer<Person> {
        @Override
        public void write(Kryo kryo, Output output, Person event) {
            output.writeLong(event.timestamp());
            output.writeLong(event.personId());
            output.writeString(event.name());
            output.writeString(event.email());
            output.writeString(event.creditCard());
            output.writeString(event.city());
            output.writeString(event.state());
        }

        @Override
        public Person read(Kryo kryo, Input input, Class<Person> type) {
            return new Person(
                    input.readLong(),
                    input.readLong(),
                    input.readString(),
                    input.readString(),
                    input.readString(),
                    input.readString(),
                    input.readString(),
                    Messages.INGESTION_TIME);
        }
    }

    private static final class ItemSerializer extends Serializer<Item> {
        @Override
        public void write(Kryo kryo, Output output, Item event) {
            output.writeLong(event.timestamp());
            output.writeLong(event.itemId());
            output.writeLong(event.categoryId());
            output.writeString(event.name());
            output.writeString(event.description());
        }

        @Override
        public Item read(Kryo kryo, Input input, Class<Item> type) {
            return new Item(
                    input.readLong(),
                    input.readLong(),
                    input.readLong(),
                    input.readString(),
                    input.readString(),
                    Messages.INGESTION_TIME);
        }
    }

    private static final class AuctionSerializer extends Serializer<Auction> {
        @Override
        public void write(Kryo kryo, Output output, Auction event) {
            output.writeLong(event.timestamp());
            output.writeLong(event.auctionId());
            output.writeLong(event.itemId());
            output.writeLong(event.sellerId());
            output.writeLong(event.initialPrice());
            output.writeLong(event.reserve());
            output.writeLong(event.start());
            output.writeLong(event.end());
        }

        @Override
        public Auction read(Kryo kryo, Input input, Class<Auction> type) {
            return new Auction(
                    input.readLong(),
                    input.readLong(),
                    input.readLong(),
                    input.readLong(),
                    input.readLong(),
                    input.readLong(),
                    input.readLong(),
                    input.readLong(),
                    Messages.INGESTION_TIME);
        }
    }

    private static final class BidSerializer extends Serializer<Bid> {
        @Override
        public void write(Kryo kryo, Output output, Bid event) {
            output.writeLong(event.timestamp());
            output.writeLong(event.bidId());
            output.writeLong(event.auctionId());
            output.writeLong(event.bidderId());
            output.writeLong(event.price());
        }

        @Override
        public Bid read(Kryo kryo, Input input, Class<Bid> type) {
            return new Bid(
                    input.readLong(),
                    input.readLong(),
                    input.readLong(),
                    input.readLong(),
                    input.readLong(),
                    Messages.INGESTION_TIME);
        }
    }
}
