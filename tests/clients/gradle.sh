#!/usr/bin/env bash
# Gradle's HttpBuildCache, with the token as the password.
. "$(dirname "$0")/lib.sh"
need gradle "Debian: gradle"
need java

serve_dev
mkdir "$WORK/project"
cd "$WORK/project"
cat >settings.gradle <<'GRADLE'
buildCache {
    local { enabled = false }
    remote(HttpBuildCache) {
        url = "${System.getenv('CACHE_URL')}/cache/"
        push = true
        // Needed for plain http from Gradle 6 on, unknown before.
        if (it.hasProperty('allowInsecureProtocol')) { allowInsecureProtocol = true }
        credentials { username = 'jwt'; password = System.getenv('CHACHA_TOKEN') }
    }
}
GRADLE
cat >build.gradle <<'GRADLE'
@CacheableTask
class Make extends DefaultTask {
    @Input String text
    @OutputFile File result
    @TaskAction void make() { result.text = text * 1000 }
}
(1..5).each { nth ->
    task("make$nth", type: Make) { text = "text $nth"; result = file("build/make${nth}.txt") }
}
task all { dependsOn((1..5).collect { "make$it" }) }
GRADLE

build() {
    export CACHE_URL=$URL CHACHA_TOKEN=$2 GRADLE_USER_HOME=$WORK/gradle
    rm -rf build .gradle
    gradle --no-daemon --build-cache --console=plain --info all >"$WORK/last" 2>&1 || { cat "$WORK/last" >&2; return 1; }
    cat "$WORK/last" >>"$WORK/gradle.log"
    # Gradle switches a remote cache that fails off, and the build goes on.
    ! grep -iE 'remote build cache (is now )?disabled|could not (load|store) entry' "$WORK/last" >&2 || return 1
    echo "$(grep -cE '^(> Task )?:make[0-9]+ FROM-CACHE' "$WORK/last" || true) -"
}

say "gradle $(gradle --version 2>/dev/null | sed -n 's/^Gradle //p')"
three_builds http
