// Drives `@actions/cache` through everything a workflow does with it, and compares the files.
//
//   node toolkit.mjs PACKAGE BYTES        all of it; tokens are in TOKEN_MAIN, TOKEN_OTHER, TOKEN_READ, TOKEN_BRANCH, TOKEN_PULL
//   node toolkit.mjs PACKAGE save|restore KEY DIRECTORY
//
// `save` prints the id, or -1 if it was not saved; `restore` the matched key or -. The package reads its environment anew for each call.
import { createHash, randomFillSync } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync, writeSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pathToFileURL } from 'node:url';

const [folder, ...rest] = process.argv.slice(2);
const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
const loaded = await import(pathToFileURL(join(folder, manifest.main)).href);
const cache = loaded.default?.saveCache ? loaded.default : loaded;
const workspace = process.env.GITHUB_WORKSPACE;
process.chdir(workspace);

// What the package prints: commands such as `::warning::`, and its progress.
let said = '';
async function quietly(run) {
    const write = process.stdout.write;
    said = '';
    process.stdout.write = (text) => { said += text; return true; };
    const begin = process.hrtime.bigint();
    try {
        const result = await run();
        return [result, Number(process.hrtime.bigint() - begin) / 1e9];
    } finally {
        process.stdout.write = write;
    }
}
// The id, or -1 if it was not saved.
const save = (key, ...paths) => quietly(() => cache.saveCache(paths, key));
const restore = (key, paths, keys = [], options = {}) => quietly(() => cache.restoreCache([].concat(paths), key, keys, options));
const troubles = () => said.split('\n').filter((line) => /^::(warning|error)/.test(line));

async function digest(file) {
    const hash = createHash('sha256');
    await pipeline(createReadStream(file), hash);
    return hash.digest('hex');
}
// Names, sizes, modes and digests of all files of a directory.
async function files(directory) {
    if (!existsSync(directory)) return 'no directory';
    const found = [];
    for (const name of readdirSync(directory, { recursive: true }).sort()) {
        const about = statSync(join(directory, name));
        if (about.isFile()) found.push([name, about.size, about.mode & 0o777, await digest(join(directory, name))]);
    }
    return JSON.stringify(found);
}
// Two thirds random, one third text, so that compression has something to do and the archive stays large.
function fill(directory, bytes) {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(join(directory, 'deep', 'er'), { recursive: true });
    const piece = Buffer.alloc(Math.min(bytes, 1 << 20)), third = Math.floor(bytes / 3);
    for (const [name, kind] of [['one.bin', 'random'], ['deep/two.bin', 'random'], ['deep/er/three ä.txt', 'text']]) {
        const file = openSync(join(directory, name), 'w', 0o640);
        piece.fill('the quick brown fox jumps over the lazy dog\n');
        for (let left = third; left > 0; left -= piece.length) {
            if (kind === 'random') randomFillSync(piece);
            writeSync(file, piece, 0, Math.min(left, piece.length));
        }
        closeSync(file);
    }
    writeFileSync(join(directory, 'empty'), '');
    writeFileSync(join(directory, 'script.sh'), '#!/bin/sh\n', { mode: 0o755 });
}

let checks = 0;
function ok(what, truth, seen) {
    checks += 1;
    if (truth) return;
    console.log(`FAILED ${what}: ${JSON.stringify(seen)}\n${said}`);
    process.exit(1);
}
const equal = (what, seen, wanted) => ok(what, seen === wanted, { seen, wanted });
// Neither a warning nor an error; what the toolkit only mentions is no trouble.
const quiet = (what) => ok(`${what}: without a warning`, troubles().length === 0, troubles());
function as(token) { process.env.ACTIONS_RUNTIME_TOKEN = process.env[`TOKEN_${token}`]; }
const shown = (seconds) => `${seconds.toFixed(2)} s`;
async function gone(directory, run) { rmSync(directory, { recursive: true, force: true }); return run(); }

async function small() {
    as('MAIN');
    fill('small', 1e6);
    const first = await files('small');
    equal('a miss', (await restore('os-small-1', 'small', ['os-small-']))[0], undefined);
    quiet('a miss');
    const [id, saving] = await save('os-small-1', 'small');
    ok('save', id > 0, said);
    quiet('save');
    const [key, restoring] = await gone('small', () => restore('os-small-1', 'small'));
    equal('an exact hit', key, 'os-small-1');
    quiet('an exact hit');
    equal('its files', await files('small'), first);
    console.log(`1 MB: save ${shown(saving)}, restore ${shown(restoring)}`);
    await matching(first);
    return first;
}

async function matching(first) {
    fill('small', 1e6);
    const second = await files('small');
    ok('save of another key', (await save('os-small-2', 'small'))[0] > 0, said);
    equal('the newest by a restore key', (await gone('small', () => restore('os-small-9', 'small', ['os-nothing-', 'os-small-'])))[0], 'os-small-2');
    equal('its files', await files('small'), second);
    equal('the primary key as a prefix', (await gone('small', () => restore('os-small', 'small')))[0], 'os-small-2');
    equal('lookupOnly', (await gone('small', () => restore('os-small-1', 'small', [], { lookupOnly: true })))[0], 'os-small-1');
    equal('lookupOnly downloads nothing', existsSync('small'), false);
    equal('other paths are another version', (await restore('os-small-1', ['small', 'more']))[0], undefined);
    fill('small', 5e5);
    const [id, seconds] = await save('os-small-1', 'small');
    equal('a second save', id, -1);
    ok('a second save says why', /another job may be creating|already exists/i.test(said), said);
    ok('a second save is no error', !/^::error/m.test(said), troubles());
    ok('a second save is quick', seconds < 5, seconds);
    await gone('small', () => restore('os-small-1', 'small'));
    equal('a second save changes nothing', await files('small'), first);
}

async function rights(first) {
    as('OTHER');
    for (const keys of [[], ['os-']]) {
        equal('another tenant', (await gone('small', () => restore('os-small-1', 'small', keys)))[0], undefined);
        quiet('another tenant');
    }
    as('READ');
    equal('a token that may only read', (await gone('small', () => restore('os-small-1', 'small')))[0], 'os-small-1');
    equal('its files', await files('small'), first);
    equal('its save', (await save('os-denied', 'small'))[0], -1);
    ok('its save is no error', !/^::error/m.test(said), troubles());
    // The message is understood from 6.1 on; before that, v2 says the same for all refusals.
    if (Number(manifest.version.split('.')[0]) >= 6) ok('its save says why', /cache write denied:/.test(said), said);
    equal('nothing was saved', (await restore('os-denied', 'small', [], { lookupOnly: true }))[0], undefined);
    await scopes(first);
}

async function scopes(first) {
    as('BRANCH');
    equal('a branch falls back to main', (await gone('small', () => restore('os-small-1', 'small')))[0], 'os-small-1');
    equal("main's files", await files('small'), first);
    fill('small', 4e5);
    const own = await files('small');
    ok("a branch saves a key that main has", (await save('os-small-1', 'small'))[0] > 0, said);
    await gone('small', () => restore('os-small-1', 'small'));
    equal("the branch's files", await files('small'), own);
    as('PULL');
    ok('a pull request saves', (await save('os-pull', 'small'))[0] > 0, said);
    equal('and restores', (await restore('os-pull', 'small', [], { lookupOnly: true }))[0], 'os-pull');
    equal("a branch is not its fallback", (await gone('small', () => restore('os-small-1', 'small')))[0], 'os-small-1');
    equal("but main is", await files('small'), first);
    as('MAIN');
    equal('main does not see it', (await restore('os-pull', 'small', ['os-pull']))[0], undefined);
    await gone('small', () => restore('os-small-1', 'small'));
    equal("main's entry is as it was", await files('small'), first);
}

async function large(bytes) {
    as('MAIN');
    fill('large', bytes);
    const before = await files('large');
    const [id, saving] = await save('os-large', 'large');
    ok('save', id > 0, said);
    quiet('save');
    const [key, restoring] = await gone('large', () => restore('os-large', 'large'));
    equal('a hit', key, 'os-large');
    quiet('a hit');
    equal('its files', await files('large'), before);
    console.log(`${Math.round(bytes / 1e6)} MB: save ${shown(saving)}, restore ${shown(restoring)} (with tar and compression)`);
}

if (rest[0] === 'save') {
    const [id] = await save(rest[1], rest[2]);
    process.stderr.write(said);
    // v1 answers the number of the upload even when that has failed.
    console.log(troubles().length ? -1 : id);
} else if (rest[0] === 'restore') {
    const [key] = await restore(rest[1], rest[2]);
    process.stderr.write(said);
    console.log(key ?? '-');
} else {
    await rights(await small());
    await large(Number(rest[0]));
    console.log(`@actions/cache ${manifest.version}: ${checks} comparisons held`);
}
process.exit(0);
