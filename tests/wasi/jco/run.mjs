// Runs the component `btdt.wasm`, which jco has made into JavaScript, as a program of this machine:
// it sees the whole file system as `/`, the current directory as `.`, and the arguments, the
// environment and the standard streams of this process. The WASI below it is jco's own.

import { cli, filesystem } from '@bytecodealliance/preview2-shim';

// The exit code for failures of this script: no command of btdt ends with it.
const FAILURE = 125;

cli._setArgs(['btdt.wasm', ...process.argv.slice(2)]);
filesystem._setPreopens({ '/': '/', '.': process.cwd() });

// Whoever reads the output may have seen enough. That is noticed here, and is not an error.
for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error) => { if (error.code !== 'EPIPE') throw error; });
}

// Only now: the component asks for its surroundings when it is loaded.
const { run } = await import('./component/btdt.js');
try {
    run.run();
} catch (error) {
    if (error?.constructor?.name === 'ComponentError') {
        // The component said that it failed, and has told why.
        process.exitCode = 1;
    } else {
        console.error('run.mjs: the component trapped:', error);
        process.exitCode = FAILURE;
    }
}
