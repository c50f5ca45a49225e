import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import javax.xml.parsers.DocumentBuilderFactory;
import org.apache.maven.RepositoryUtils;
import org.apache.maven.extension.internal.CoreExports;
import org.apache.maven.extension.internal.CoreExtensionEntry;
import org.apache.maven.model.Dependency;
import org.apache.maven.model.Extension;
import org.apache.maven.model.Model;
import org.apache.maven.model.Parent;
import org.apache.maven.model.Plugin;
import org.apache.maven.model.PluginExecution;
import org.apache.maven.model.Repository;
import org.apache.maven.model.building.DefaultModelBuilder;
import org.apache.maven.model.building.DefaultModelBuildingRequest;
import org.apache.maven.model.building.FileModelSource;
import org.apache.maven.model.building.ModelBuilder;
import org.apache.maven.model.building.ModelBuildingException;
import org.apache.maven.model.building.ModelBuildingRequest;
import org.apache.maven.model.building.ModelSource;
import org.apache.maven.model.io.xpp3.MavenXpp3Reader;
import org.apache.maven.model.plugin.LifecycleBindingsInjector;
import org.apache.maven.model.resolution.ModelResolver;
import org.apache.maven.model.resolution.UnresolvableModelException;
import org.apache.maven.plugin.internal.PluginDependenciesResolver;
import org.apache.maven.plugin.version.DefaultPluginVersionRequest;
import org.apache.maven.plugin.version.PluginVersionResolver;
import org.apache.maven.repository.internal.MavenRepositorySystemUtils;
import org.codehaus.plexus.ContainerConfiguration;
import org.codehaus.plexus.DefaultContainerConfiguration;
import org.codehaus.plexus.DefaultPlexusContainer;
import org.codehaus.plexus.PlexusConstants;
import org.codehaus.plexus.classworlds.ClassWorld;
import org.codehaus.plexus.util.xml.Xpp3Dom;
import org.eclipse.aether.DefaultRepositoryCache;
import org.eclipse.aether.DefaultRepositorySystemSession;
import org.eclipse.aether.RepositorySystem;
import org.eclipse.aether.artifact.Artifact;
import org.eclipse.aether.artifact.DefaultArtifact;
import org.eclipse.aether.collection.CollectRequest;
import org.eclipse.aether.repository.LocalRepository;
import org.eclipse.aether.repository.Proxy;
import org.eclipse.aether.repository.RemoteRepository;
import org.eclipse.aether.repository.RepositoryPolicy;
import org.eclipse.aether.repository.WorkspaceReader;
import org.eclipse.aether.repository.WorkspaceRepository;
import org.eclipse.aether.resolution.ArtifactRequest;
import org.eclipse.aether.resolution.ArtifactResult;
import org.eclipse.aether.resolution.DependencyRequest;
import org.eclipse.aether.resolution.DependencyResolutionException;
import org.eclipse.aether.resolution.VersionRangeRequest;
import org.eclipse.aether.transfer.ArtifactNotFoundException;
import org.eclipse.aether.transfer.ArtifactTransferException;
import org.eclipse.aether.transfer.MetadataTransferException;
import org.eclipse.aether.util.repository.AuthenticationBuilder;
import org.slf4j.ILoggerFactory;
import org.slf4j.LoggerFactory;

/**
 * Downloads what `mvn test` needs of the projects that a request file names, into a local repository, with the
 * libraries of the Maven installation on the class path. It reads POMs and the descriptors of plugins; no plugin and no
 * extension is loaded, in contrast to any run of Maven itself.
 *
 * Each line of the request is a word, a tab and a value: see `main`. Each line of the answer is `MISSING`, what, why and
 * the POM that asks for it. When the registry does not answer, it is one line, `UNREACHABLE` and why.
 */
public final class Resolve {
    private static final Set<String> PHASES = new HashSet<>(List.of("validate", "initialize", "generate-sources",
        "process-sources", "generate-resources", "process-resources", "compile", "process-classes",
        "generate-test-sources", "process-test-sources", "generate-test-resources", "process-test-resources",
        "test-compile", "process-test-classes", "test"));
    private static final Set<String> PACKAGINGS = Set.of("pom", "jar", "war", "ear", "ejb", "rar", "maven-plugin");
    private static final int THREADS = 6;
    private static final int TRIES = 3;
    private static final int MOST_FAILURES = 8;

    private final Properties user = new Properties();
    private final Properties system = new Properties();
    private final Map<String, File> siblings = new LinkedHashMap<>();
    private final Map<String, String> versions = new HashMap<>();
    private final Map<String, Model> effective = new ConcurrentHashMap<>();
    private final Map<Object, Object> models = new ConcurrentHashMap<>();
    private final Set<String> said = ConcurrentHashMap.newKeySet();
    private final Set<String> begun = ConcurrentHashMap.newKeySet();
    private final DefaultPlexusContainer container;
    private final RepositorySystem repositories;
    private final DefaultRepositorySystemSession session = MavenRepositorySystemUtils.newSession();
    private final List<RemoteRepository> remote;
    private final AtomicInteger failures = new AtomicInteger();
    private volatile String unreachable;

    public static void main(String[] arguments) throws Exception {
        System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "off");
        Map<String, List<String>> request = new HashMap<>();
        for (String line : Files.readAllLines(Path.of(arguments[0]))) {
            String[] parts = line.split("\t", 2);
            request.computeIfAbsent(parts[0], key -> new ArrayList<>()).add(parts[1]);
        }
        trustCertificates(System.getenv("SSL_CERT_FILE"));
        Resolve resolve = new Resolve(request);
        resolve.all(request);
        for (int again = 0; resolve.unreachable != null && again < TRIES; again++) {
            resolve = new Resolve(request); // what was fetched is there
            resolve.all(request);
        }
        if (resolve.unreachable == null) {
            resolve.said.forEach(System.out::println);
        } else {
            System.out.println("UNREACHABLE " + resolve.unreachable);
        }
        System.exit(resolve.unreachable == null ? 0 : 1);
    }

    /** `registry`: an address; `local`: the folder to fill; `define`: NAME=VALUE; `java`: the version for profiles. */
    private Resolve(Map<String, List<String>> request) throws Exception {
        ClassWorld world = new ClassWorld("plexus.core", Resolve.class.getClassLoader());
        ContainerConfiguration configuration = new DefaultContainerConfiguration().setClassWorld(world)
            .setRealm(world.getRealm("plexus.core")).setClassPathScanning(PlexusConstants.SCANNING_INDEX)
            .setAutoWiring(true).setName("maven");
        CoreExports exports = new CoreExports(CoreExtensionEntry.discoverFrom(world.getRealm("plexus.core")));
        container = new DefaultPlexusContainer(configuration, new com.google.inject.AbstractModule() {
            @Override
            protected void configure() {
                bind(ILoggerFactory.class).toInstance(LoggerFactory.getILoggerFactory());
                bind(CoreExports.class).toInstance(exports);
            }
        });
        repositories = container.lookup(RepositorySystem.class);
        URI address = URI.create(first(request, "registry"));
        String person = address.getUserInfo();
        String plain = first(request, "registry").replaceFirst("//[^/@]*@", "//");
        RemoteRepository.Builder central = new RemoteRepository.Builder("central", "default", plain);
        if (person != null) {
            central.setAuthentication(new AuthenticationBuilder().addUsername(person.split(":", 2)[0])
                .addPassword(person.contains(":") ? person.split(":", 2)[1] : "").build());
        }
        String proxy = System.getenv("HTTPS_PROXY");
        if (proxy != null && !"127.0.0.1".equals(address.getHost())) {
            URI way = URI.create(proxy);
            central.setProxy(new Proxy(Proxy.TYPE_HTTP, way.getHost(), way.getPort()));
        }
        remote = List.of(central.build());
        system.putAll(System.getProperties());
        System.getenv().forEach((name, value) -> system.setProperty("env." + name, value));
        system.setProperty("java.version", first(request, "java"));
        // As the extension os-maven-plugin sets them, with which protoc and netty name their files.
        String machine = System.getProperty("os.arch").equals("amd64") ? "x86_64" : "aarch_64";
        system.setProperty("os.detected.name", "linux");
        system.setProperty("os.detected.arch", machine);
        system.setProperty("os.detected.classifier", "linux-" + machine);
        for (String define : request.getOrDefault("define", List.of())) {
            user.setProperty(define.split("=", 2)[0], define.split("=", 2)[1]);
        }
        session.setSystemProperties(system);
        session.setUserProperties(user);
        session.setConfigProperty("aether.connector.basic.threads", 8);
        session.setConfigProperty("aether.connector.connectTimeout", 20_000);
        session.setConfigProperty("aether.connector.requestTimeout", 60_000);
        session.setChecksumPolicy(RepositoryPolicy.CHECKSUM_POLICY_IGNORE); // Maven's own only warns
        session.setCache(new DefaultRepositoryCache());
        session.setIgnoreArtifactDescriptorRepositories(true);
        session.setWorkspaceReader(new Siblings());
        session.setLocalRepositoryManager(
            repositories.newLocalRepositoryManager(session, new LocalRepository(first(request, "local"))));
        DefaultModelBuilder builder = (DefaultModelBuilder) container.lookup(ModelBuilder.class);
        LifecycleBindingsInjector usual = container.lookup(LifecycleBindingsInjector.class);
        builder.setLifecycleBindingsInjector((model, asked, problems) -> {
            String packaging = model.getPackaging();
            if (PACKAGINGS.contains(packaging)) {
                usual.injectLifecycleBindings(model, asked, problems);
                return;
            }
            // One that an extension defines is nearly always a jar, of which it names the plugins without versions.
            Set<String> declared = new HashSet<>();
            model.getBuild().getPlugins().forEach(plugin -> declared.add(plugin.getKey()));
            model.setPackaging("jar");
            usual.injectLifecycleBindings(model, asked, problems);
            model.setPackaging(packaging);
            model.getBuild().getPlugins().stream().filter(plugin -> !declared.contains(plugin.getKey()))
                .forEach(plugin -> plugin.setVersion(null));
        });
    }

    /**
     * `pom`: a project; `activate`: a profile; `extension`, `artifact` and `plugin`: coordinates to fetch as such;
     * `maven`: a range of versions of Maven itself, of which the newest release is fetched.
     */
    private void all(Map<String, List<String>> request) throws Exception {
        List<File> poms = new ArrayList<>();
        for (String path : request.getOrDefault("pom", List.of())) {
            poms.add(new File(path));
            try (InputStream input = new FileInputStream(path)) {
                Model model = new MavenXpp3Reader().read(input, false);
                String group = model.getGroupId() == null && model.getParent() != null ? model.getParent().getGroupId()
                    : model.getGroupId();
                String version = model.getVersion() == null && model.getParent() != null ? model.getParent().getVersion()
                    : model.getVersion();
                siblings.put(group + ":" + model.getArtifactId(), new File(path));
                versions.put(group + ":" + model.getArtifactId(), String.valueOf(version));
            } catch (Exception problem) {
                missing(path, problem, path);
            }
        }
        for (File pom : poms) {
            if (failures.get() < MOST_FAILURES) {
                model(pom, request.getOrDefault("activate", List.of()));
            }
        }
        List<Runnable> work = new ArrayList<>();
        for (File pom : poms) {
            Model model = effective.get(pom.getPath());
            if (model != null) {
                work.add(() -> dependencies(model, pom));
                for (Plugin plugin : model.getBuild().getPlugins()) {
                    work.add(() -> plugin(plugin, model, pom));
                }
                for (Extension one : model.getBuild().getExtensions()) {
                    work.add(() -> extension(one.getGroupId(), one.getArtifactId(), one.getVersion(), pom.getPath()));
                }
            }
        }
        for (String coordinates : request.getOrDefault("extension", List.of())) {
            String[] parts = coordinates.split(":");
            work.add(() -> extension(parts[0], parts[1], parts[2], ".mvn/extensions.xml"));
        }
        for (String coordinates : request.getOrDefault("plugin", List.of())) {
            String[] parts = coordinates.split(":");
            work.add(() -> extension(parts[0], parts[1], parts.length > 2 ? parts[2] : null, "the build"));
        }
        for (String coordinates : request.getOrDefault("artifact", List.of())) {
            work.add(() -> tree(new DefaultArtifact(coordinates), List.of(), "the build"));
        }
        for (String range : request.getOrDefault("maven", List.of())) {
            work.add(() -> distribution(range));
        }
        ExecutorService pool = Executors.newFixedThreadPool(THREADS);
        for (Runnable one : work) {
            pool.submit(() -> {
                if (failures.get() < MOST_FAILURES) {
                    one.run();
                }
            });
        }
        pool.shutdown();
        pool.awaitTermination(1, TimeUnit.HOURS);
    }

    private void model(File pom, List<String> profiles) throws Exception {
        DefaultModelBuildingRequest request = new DefaultModelBuildingRequest();
        request.setPomFile(pom).setModelResolver(new Models()).setProcessPlugins(true).setTwoPhaseBuilding(false);
        request.setValidationLevel(ModelBuildingRequest.VALIDATION_LEVEL_MINIMAL);
        request.setSystemProperties(system).setUserProperties(user).setActiveProfileIds(profiles);
        request.setModelCache(new org.apache.maven.model.building.ModelCache() {
            @Override
            public void put(String group, String artifact, String version, String tag, Object data) {
                models.put(List.of(group, artifact, version, tag), data);
            }

            @Override
            public Object get(String group, String artifact, String version, String tag) {
                return models.get(List.of(group, artifact, version, tag));
            }
        });
        try {
            effective.put(pom.getPath(), container.lookup(ModelBuilder.class).build(request).getEffectiveModel());
        } catch (ModelBuildingException problem) {
            missing(pom.getPath(), problem, pom.getPath());
        }
    }

    private void dependencies(Model model, File pom) {
        CollectRequest request = new CollectRequest();
        request.setRepositories(remote);
        for (Dependency one : model.getDependencies()) {
            request.addDependency(RepositoryUtils.toDependency(one, session.getArtifactTypeRegistry()));
        }
        for (Dependency one : managed(model)) {
            request.addManagedDependency(RepositoryUtils.toDependency(one, session.getArtifactTypeRegistry()));
        }
        List<Artifact> found = resolved(request, pom.getPath(), model.getId());
        for (Plugin plugin : model.getBuild().getPlugins()) {
            if (plugin.getArtifactId().equals("maven-surefire-plugin")) {
                try {
                    versioned(plugin);
                } catch (Exception problem) {
                    missing("plugin " + plugin.getId(), problem, pom.getPath());
                    continue;
                }
                providers(plugin.getVersion(), found, pom);
            }
        }
    }

    /** What surefire chooses when it runs, by the test framework that it finds. */
    private void providers(String surefire, List<Artifact> found, File pom) {
        Map<String, String> versions = new HashMap<>();
        found.forEach(one -> versions.put(one.getGroupId() + ":" + one.getArtifactId(), one.getVersion()));
        List<String> names = new ArrayList<>();
        String platform = versions.getOrDefault("org.junit.platform:junit-platform-engine",
            versions.get("org.junit.platform:junit-platform-commons"));
        if (platform != null) {
            names.add("junit-platform");
            tree(new DefaultArtifact("org.junit.platform:junit-platform-launcher:" + platform), List.of(), pom.getPath());
            String jupiter = versions.get("org.junit.jupiter:junit-jupiter-api");
            if (jupiter != null && !versions.containsKey("org.junit.jupiter:junit-jupiter-engine")) {
                tree(new DefaultArtifact("org.junit.jupiter:junit-jupiter-engine:" + jupiter), List.of(), pom.getPath());
            }
        }
        if (versions.containsKey("junit:junit")) {
            names.addAll(List.of("junit3", "junit4", "junit47"));
        }
        if (versions.containsKey("org.testng:testng")) {
            names.add("testng");
        }
        for (String name : names.isEmpty() ? List.of("junit3") : names) {
            tree(new DefaultArtifact("org.apache.maven.surefire:surefire-" + name + ":" + surefire), List.of(),
                pom.getPath());
        }
    }

    /** A plugin: its descriptor, for which Maven may look whatever the phase, and what it needs if it takes part. */
    private void plugin(Plugin plugin, Model model, File pom) {
        try {
            versioned(plugin);
            PluginDependenciesResolver resolver = container.lookup(PluginDependenciesResolver.class);
            Artifact artifact = resolver.resolve(plugin, remote, session);
            Map<String, String> phases = phases(artifact.getFile());
            boolean used = plugin.isExtensions();
            for (PluginExecution execution : plugin.getExecutions()) {
                for (String goal : execution.getGoals()) {
                    String phase = execution.getPhase() != null ? execution.getPhase() : phases.get(goal);
                    used |= phase != null && PHASES.contains(phase);
                }
            }
            String wanted = plugin.getId() + plugin.getDependencies();
            if (used && begun.add(wanted)) {
                resolver.resolve(plugin, artifact, null, remote, session);
            }
            if (used) {
                named(plugin.getConfiguration(), model, pom);
                for (PluginExecution execution : plugin.getExecutions()) {
                    named(execution.getConfiguration(), model, pom);
                }
            }
        } catch (Exception problem) {
            missing("plugin " + plugin.getId(), problem, pom.getPath());
        }
    }

    /** Gives a plugin that is declared without a version the one that Maven would choose. */
    private void versioned(Plugin plugin) throws Exception {
        if (plugin.getVersion() == null) {
            plugin.setVersion(container.lookup(PluginVersionResolver.class)
                .resolve(new DefaultPluginVersionRequest(plugin, session, remote)).getVersion());
        }
    }

    /** What a plugin's configuration names by coordinates, such as annotation processors and compilers. */
    private void named(Object configuration, Model model, File pom) {
        if (!(configuration instanceof Xpp3Dom)) {
            return;
        }
        Xpp3Dom element = (Xpp3Dom) configuration;
        String group = text(element, "groupId");
        String artifact = text(element, "artifactId");
        if (group != null && artifact != null) {
            String version = text(element, "version");
            for (Dependency one : managed(model)) {
                boolean same = one.getGroupId().equals(group) && one.getArtifactId().equals(artifact);
                version = version == null && same ? one.getVersion() : version;
            }
            String type = text(element, "type") == null ? "jar" : text(element, "type");
            String classifier = text(element, "classifier") == null ? "" : text(element, "classifier");
            if (version != null && !version.contains("${")) {
                tree(new DefaultArtifact(group, artifact, classifier, type, version), managed(model), pom.getPath());
            }
        }
        String value = element.getValue() == null ? "" : element.getValue().trim();
        if (value.matches("[\\w.-]+:[\\w.-]+:[\\w.-]+(:[\\w.-]+){0,2}")) {
            String[] parts = value.split(":"); // G:A:V[:TYPE[:CLASSIFIER]], as plugins write it
            tree(new DefaultArtifact(parts[0], parts[1], parts.length > 4 ? parts[4] : "",
                parts.length > 3 ? parts[3] : "jar", parts[2]), List.of(), pom.getPath());
        }
        for (Xpp3Dom child : element.getChildren()) {
            named(child, model, pom);
        }
    }

    private void distribution(String range) {
        Artifact any = new DefaultArtifact("org.apache.maven", "apache-maven", "bin", "tar.gz", range);
        try {
            String newest = repositories.resolveVersionRange(session, new VersionRangeRequest(any, remote, null))
                .getVersions().stream().map(String::valueOf).filter(version -> !version.contains("-"))
                .reduce((one, next) -> next).orElseThrow(() -> new ArtifactNotFoundException(any, null));
            repositories.resolveArtifact(session, new ArtifactRequest(any.setVersion(newest), remote, null));
        } catch (Exception problem) {
            missing("Maven " + range, problem, "the build");
        }
    }

    private void extension(String group, String artifact, String version, String source) {
        Plugin plugin = new Plugin();
        plugin.setGroupId(group);
        plugin.setArtifactId(artifact);
        plugin.setVersion(version);
        try {
            versioned(plugin);
            PluginDependenciesResolver resolver = container.lookup(PluginDependenciesResolver.class);
            resolver.resolve(plugin, resolver.resolve(plugin, remote, session), null, remote, session);
        } catch (Exception problem) {
            missing(plugin.getId(), problem, source);
        }
    }

    /** An artifact with what it needs at run time. */
    private void tree(Artifact artifact, List<Dependency> managed, String source) {
        if (!begun.add(artifact.toString()) && managed.isEmpty()) {
            return;
        }
        CollectRequest request = new CollectRequest();
        request.setRepositories(remote);
        request.setRoot(new org.eclipse.aether.graph.Dependency(artifact, "runtime"));
        for (Dependency one : managed) {
            request.addManagedDependency(RepositoryUtils.toDependency(one, session.getArtifactTypeRegistry()));
        }
        resolved(request, source, artifact.toString());
    }

    /** The artifacts of a dependency tree, as far as the registry has them. */
    private List<Artifact> resolved(CollectRequest request, String source, String what) {
        List<Artifact> found = new ArrayList<>();
        List<ArtifactResult> results = List.of();
        try {
            results = repositories.resolveDependencies(session, new DependencyRequest(request, null)).getArtifactResults();
        } catch (DependencyResolutionException problem) {
            results = problem.getResult() == null ? results : problem.getResult().getArtifactResults();
            if (results.stream().allMatch(ArtifactResult::isResolved)) {
                missing(what, problem, source);
            }
        } catch (RuntimeException problem) {
            missing(what, problem, source);
        }
        for (ArtifactResult result : results) {
            if (result.isResolved()) {
                found.add(result.getArtifact());
            } else {
                Exception problem = result.getExceptions().isEmpty() ? null : result.getExceptions().get(0);
                missing(result.getRequest().getArtifact().toString(), problem, source);
            }
        }
        return found;
    }

    private void missing(String what, Throwable problem, String source) {
        for (Throwable cause = problem; cause != null; cause = cause.getCause()) {
            boolean transfer = cause instanceof ArtifactTransferException && !(cause instanceof ArtifactNotFoundException);
            if (transfer || cause instanceof MetadataTransferException) {
                unreachable = String.valueOf(cause.getMessage());
                failures.incrementAndGet();
            }
        }
        say("MISSING", what, problem == null ? "it is not in the registry" : problem.getMessage(), source);
    }

    private void say(String... words) {
        String line = String.join("\t", Arrays.stream(words)
            .map(word -> String.valueOf(word).replaceAll("\\s+", " ").strip()).toArray(String[]::new));
        if (said.size() < 500) {
            said.add(line.substring(0, Math.min(line.length(), 2000)));
        }
    }

    /** The POM of a project of the repository; null for one of another version, which is a package like others. */
    private File sibling(String group, String artifact, String version) {
        String own = versions.getOrDefault(group + ":" + artifact, "");
        return own.contains("${") || own.equals(version) ? siblings.get(group + ":" + artifact) : null;
    }

    private static List<Dependency> managed(Model model) {
        return model.getDependencyManagement() == null ? List.of() : model.getDependencyManagement().getDependencies();
    }

    private static String text(Xpp3Dom element, String name) {
        Xpp3Dom child = element.getChild(name);
        return child == null ? null : child.getValue();
    }

    private static String first(Map<String, List<String>> request, String word) {
        return request.get(word).get(0);
    }

    /** The phase that each goal of a plugin is bound to by itself, from the descriptor in its file. */
    private static Map<String, String> phases(File file) throws Exception {
        Map<String, String> found = new HashMap<>();
        try (ZipFile archive = new ZipFile(file)) {
            ZipEntry entry = archive.getEntry("META-INF/maven/plugin.xml");
            if (entry == null || entry.getSize() > (16 << 20)) {
                return found;
            }
            DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
            factory.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
            var mojos = factory.newDocumentBuilder().parse(archive.getInputStream(entry)).getElementsByTagName("mojo");
            for (int i = 0; i < mojos.getLength(); i++) {
                var mojo = (org.w3c.dom.Element) mojos.item(i);
                var phase = mojo.getElementsByTagName("phase");
                if (phase.getLength() > 0) {
                    String goal = mojo.getElementsByTagName("goal").item(0).getTextContent().strip();
                    found.put(goal, phase.item(0).getTextContent().strip());
                }
            }
        }
        return found;
    }

    /** Java reads no certificates in PEM by itself. */
    private static void trustCertificates(String bundle) throws Exception {
        if (bundle == null || !new File(bundle).isFile()) {
            return;
        }
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        try (InputStream input = new FileInputStream(bundle)) {
            int number = 0;
            for (Certificate one : CertificateFactory.getInstance("X.509").generateCertificates(input)) {
                store.setCertificateEntry("certificate" + number++, one);
            }
        }
        File file = File.createTempFile("trusted", ".p12");
        try (FileOutputStream output = new FileOutputStream(file)) {
            store.store(output, "public".toCharArray());
        }
        System.setProperty("javax.net.ssl.trustStore", file.getPath());
        System.setProperty("javax.net.ssl.trustStorePassword", "public");
    }

    /** The projects of the repository, which no registry has. */
    private final class Siblings implements WorkspaceReader {
        private final WorkspaceRepository repository = new WorkspaceRepository("repository");

        @Override
        public WorkspaceRepository getRepository() {
            return repository;
        }

        @Override
        public File findArtifact(Artifact artifact) { // its POM stands for what is not built yet
            return sibling(artifact.getGroupId(), artifact.getArtifactId(), artifact.getVersion());
        }

        @Override
        public List<String> findVersions(Artifact artifact) {
            return List.of();
        }
    }

    /** Parents and imported POMs: of the repository, else of the registry. */
    private final class Models implements ModelResolver {
        @Override
        public ModelSource resolveModel(String group, String artifact, String version) throws UnresolvableModelException {
            File sibling = sibling(group, artifact, version);
            if (sibling != null) {
                return new FileModelSource(sibling);
            }
            try {
                Artifact pom = new DefaultArtifact(group, artifact, "", "pom", version);
                return new FileModelSource(repositories
                    .resolveArtifact(session, new ArtifactRequest(pom, remote, null)).getArtifact().getFile());
            } catch (Exception problem) {
                throw new UnresolvableModelException(problem.getMessage(), group, artifact, version, problem);
            }
        }

        @Override
        public ModelSource resolveModel(Parent parent) throws UnresolvableModelException {
            return resolveModel(parent.getGroupId(), parent.getArtifactId(), parent.getVersion());
        }

        @Override
        public ModelSource resolveModel(Dependency dependency) throws UnresolvableModelException {
            return resolveModel(dependency.getGroupId(), dependency.getArtifactId(), dependency.getVersion());
        }

        @Override
        public void addRepository(Repository repository) {
            // Packages come from one registry.
        }

        @Override
        public void addRepository(Repository repository, boolean replace) {
            // Packages come from one registry.
        }

        @Override
        public ModelResolver newCopy() {
            return this;
        }
    }
}
