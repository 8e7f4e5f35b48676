import com.google.gson.Gson;
import com.segment.analytics.Analytics;
import com.segment.analytics.Callback;
import com.segment.analytics.messages.AliasMessage;
import com.segment.analytics.messages.GroupMessage;
import com.segment.analytics.messages.IdentifyMessage;
import com.segment.analytics.messages.Message;
import com.segment.analytics.messages.MessageBuilder;
import com.segment.analytics.messages.PageMessage;
import com.segment.analytics.messages.ScreenMessage;
import com.segment.analytics.messages.TrackMessage;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Phaser;

/**
 * Sends events with com.segment.analytics.java:analytics, with the arguments and the report of the Python programs (see
 * python/events.py).
 */
public final class SegmentClient {
    private static final int THREADS = 4;
    private static final int PARTS = 3;
    private static final List<String> KINDS =
            List.of("identify", "page", "track", "track", "screen", "group", "track", "alias", "track", "page");
    private static final int VISITORS = 7;
    // The default of 3 may end before a collector on a busy machine has restarted.
    private static final int RETRIES = 10;

    private static final Gson GSON = new Gson();

    /** Messages that the SDK has neither delivered nor given up; flush() does not wait for them. */
    private static final Phaser PENDING = new Phaser(1);

    public static void main(String[] arguments) throws Exception {
        String url = arguments[0], writeKey = arguments[1], run = arguments[2];
        int count = Integer.parseInt(arguments[3]);
        Analytics analytics =
                Analytics.builder(writeKey).endpoint(url).retries(RETRIES).callback(new Report()).build();
        ExecutorService pool = Executors.newFixedThreadPool(THREADS);
        for (int part = 0; part < PARTS; part++) {
            List<Future<?>> sent = new ArrayList<>();
            int end = count * (part + 1) / PARTS;
            for (int number = count * part / PARTS; number < end; number++) {
                int next = number;
                sent.add(pool.submit(() -> send(analytics, run, next)));
            }
            for (Future<?> future : sent) {
                future.get();
            }
            if (end < count) {
                analytics.flush();
                PENDING.arriveAndAwaitAdvance();
            }
        }
        pool.shutdown();
        // Delivers the last part: the SDK's network thread keeps the process alive until then.
        analytics.shutdown();
    }

    private static void send(Analytics analytics, String run, int number) {
        String kind = KINDS.get(number % KINDS.size());
        int visitor = number % VISITORS;
        boolean isNumber = visitor % 2 == 0;
        String numeric = Long.toString(Integer.toUnsignedLong(run.hashCode()) * 100 + visitor);
        String member = isNumber ? numeric : run + "-member-" + visitor;
        String anonymous = run + "-visitor-" + visitor;
        Map<String, Object> properties = makeProperties(run, number);
        Map<String, Object> event = new LinkedHashMap<>();
        MessageBuilder<?, ?> builder;
        switch (kind) {
            case "identify" -> builder = IdentifyMessage.builder().traits(properties);
            case "group" -> {
                String group = isNumber ? Integer.toString(1000 + visitor) : run + "-group-" + visitor;
                builder = GroupMessage.builder(group).traits(properties);
                event.put("group_id", group);
            }
            case "alias" -> {
                builder = AliasMessage.builder(anonymous);
                event.put("previous_id", anonymous);
                properties = Map.of();
            }
            case "track" -> {
                event.put("name", "Product Viewed");
                builder = TrackMessage.builder("Product Viewed").properties(properties);
            }
            case "page" -> {
                event.put("name", "Page " + visitor);
                builder = PageMessage.builder("Page " + visitor).category("shop").properties(properties);
            }
            default -> {
                event.put("name", "Screen " + visitor);
                builder = ScreenMessage.builder("Screen " + visitor).properties(properties);
            }
        }
        // A third of the views and tracks are of an unknown visitor, a third of a known one, a third have both ids.
        if (List.of("identify", "group", "alias").contains(kind) || number % 3 != 0) {
            builder.userId(member);
            event.put("member_id", member);
        }
        if (kind.equals("identify") || !kind.equals("alias") && number % 3 != 1) {
            builder.anonymousId(anonymous);
            event.put("anonymous_id", anonymous);
        }
        Instant now = Instant.now().truncatedTo(ChronoUnit.MILLIS);
        Instant occurred = now.minus(number % 3, ChronoUnit.HOURS);
        if (number % 3 != 0) {
            builder.timestamp(Date.from(occurred));
        }
        String messageId = run + "-" + number;
        builder.messageId(messageId);
        event.put("message_id", messageId);
        event.put("type", kind);
        event.put("properties", properties);
        event.put("occurred_at", occurred.toString());
        PENDING.register();
        analytics.enqueue(builder);
        print("event", event);
    }

    private static Map<String, Object> makeProperties(String run, int number) {
        return Map.of(
                "run", run,
                "number", number,
                "price", number + 0.25,
                "sold", number % 2 == 0,
                "title", "Blåbær 🫐",
                "tags", List.of("a", "b"),
                "cart", Map.of("items", List.of(Map.of("sku", "sku-" + number, "count", 2))));
    }

    private static synchronized void print(String name, Object value) {
        System.out.println(GSON.toJson(Collections.singletonMap(name, value)));
    }

    private static final class Report implements Callback {
        @Override
        public void success(Message message) {
            PENDING.arriveAndDeregister();
        }

        @Override
        public void failure(Message message, Throwable reason) {
            print("failed", message.messageId());
            PENDING.arriveAndDeregister();
        }
    }
}
