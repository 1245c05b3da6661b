/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The control socket between the agent and `tidegate`: a stream socket that
 * is authorised by its group and mode alone (peer credentials are only
 * logged: in the sandbox most of them read 65534).
 *
 * Frames are lines: one JSON object each, ended by a newline. A client sends
 * one request and gets one answer, or, for `watch`, a first answer and then
 * a line for each reading until it hangs up.
 *
 *	{"cmd":"read","device":"boiler","point":"temperature"}
 *	{"ok":true,"data":{...}}		{"ok":false,"code":1,"error":"..."}
 *
 * `code` is the exit code that the command line gives: 1 failed, 2 usage, 78 bad configuration.
 */
#define TG_CONTROL_SOCKET "/run/tidegate-control.sock"
#define TG_CONTROL_NAME "tidegate-control.sock" /* below --runtime-dir */
#define TG_CONTROL_REQUEST_MAX 4096u	      /* bytes of a request, newline included */
#define TG_CONTROL_ANSWER_MAX (1024u * 1024)  /* bytes of one answer; 512 devices take about 150 KiB */
#define TG_CONTROL_CLIENTS 16		      /* at once; more are told so and closed */
