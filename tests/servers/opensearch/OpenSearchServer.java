import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;

import org.opensearch.common.logging.LogConfigurator;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.Plugin;

/**
 * A real single-node OpenSearch server for tests, on 127.0.0.1 only.
 * Usage: OpenSearchServer PORT DATADIR [setting=value ...]
 * PORT 0 takes any free one. Prints one line "ready on http://127.0.0.1:PORT" with the port that it got.
 * SIGTERM closes the node; exits 1 if it cannot start.
 * With -Dexit.when.ready=true it exits 0 as soon as it is ready (to record a class data archive).
 * With -Dexit.with.stdin=true it ends when its standard input does, so that it outlives nobody who holds the other end.
 */
public final class OpenSearchServer {

    private static final String NAME = "node-1";

    /** The modules of the official minimal distribution that Maven Central has as jars. */
    private static final List<Class<? extends Plugin>> MODULES = List.of(
            org.opensearch.transport.Netty4Plugin.class,
            org.opensearch.analysis.common.CommonAnalysisPlugin.class,
            org.opensearch.cache.common.tier.TieredSpilloverCachePlugin.class,
            org.opensearch.dashboards.OpenSearchDashboardsPlugin.class,
            org.opensearch.geo.GeoModulePlugin.class,
            org.opensearch.index.mapper.MapperExtrasPlugin.class,
            org.opensearch.index.rankeval.RankEvalPlugin.class,
            org.opensearch.index.reindex.ReindexPlugin.class,
            org.opensearch.ingest.common.IngestCommonPlugin.class,
            org.opensearch.ingest.useragent.IngestUserAgentPlugin.class,
            org.opensearch.join.ParentJoinPlugin.class,
            org.opensearch.painless.PainlessPlugin.class,
            org.opensearch.percolator.PercolatorPlugin.class,
            org.opensearch.plugin.repository.url.URLRepositoryPlugin.class,
            org.opensearch.script.expression.ExpressionPlugin.class,
            org.opensearch.script.mustache.MustachePlugin.class,
            org.opensearch.search.aggregations.matrix.MatrixAggregationPlugin.class,
            org.opensearch.search.pipeline.common.SearchPipelineCommonModulePlugin.class);

    /** The constructor of Node that takes plugins from the class path is protected. */
    private static final class ServerNode extends Node {
        ServerNode(Environment environment) {
            super(environment, MODULES, true);
        }
    }

    private OpenSearchServer() {
    }

    public static void main(String[] args) {
        try {
            run(args);
        } catch (Throwable t) {
            // threads of a half-started node would keep the process alive
            t.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
    }

    private static void run(String[] args) throws Exception {
        if (args.length < 2) {
            throw new IllegalArgumentException("usage: OpenSearchServer PORT DATADIR [setting=value ...]");
        }
        int port = Integer.parseInt(args[0]);
        Path home = Path.of(args[1]).toAbsolutePath().normalize();
        for (String dir : List.of("config", "data", "logs", "modules", "plugins", "repo")) {
            Files.createDirectories(home.resolve(dir));
        }
        Settings.Builder builder = Settings.builder()
                .put("path.home", home)
                .put("path.data", home.resolve("data"))
                .put("path.logs", home.resolve("logs"))
                .putList("path.repo", home.resolve("repo").toString())
                .put("cluster.name", "test")
                .put("node.name", NAME)
                .put("discovery.type", "single-node")
                .put("network.host", "127.0.0.1")
                .put("http.port", port)
                .put("transport.port", 0)
                // otherwise new shards stay unassigned or indices turn read-only on a nearly full disk
                .put("cluster.routing.allocation.disk.threshold_enabled", false)
                .put("logger.level", System.getProperty("log.level", "WARN"));
        for (int i = 2; i < args.length; i++) {
            int eq = args[i].indexOf('=');
            if (eq < 1) {
                throw new IllegalArgumentException("not setting=value: " + args[i]);
            }
            builder.put(args[i].substring(0, eq), args[i].substring(eq + 1));
        }
        Settings settings = builder.build();
        LogConfigurator.setNodeName(NAME);
        LogConfigurator.configureWithoutConfig(settings);
        Environment environment =
                InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> NAME);

        Node node = new ServerNode(environment);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
            } catch (Exception e) {
                e.printStackTrace();
            }
        }, "close-node"));
        if (Boolean.getBoolean("exit.with.stdin")) {
            Thread watch = new Thread(OpenSearchServer::haltAtEndOfInput, "watch-stdin");
            watch.setDaemon(true);
            watch.start();
        }
        node.start();
        int bound = node.injector().getInstance(HttpServerTransport.class).boundAddress().publishAddress().getPort();
        System.out.println("ready on http://127.0.0.1:" + bound);
        if (Boolean.getBoolean("exit.when.ready")) {
            System.exit(0);
        }
        new CountDownLatch(1).await();
    }

    /** Ends the process at once: nobody is left who could want its data. */
    private static void haltAtEndOfInput() {
        try {
            while (System.in.read() >= 0) {
            }
        } catch (IOException e) {
            e.printStackTrace();
        }
        Runtime.getRuntime().halt(0);
    }
}
