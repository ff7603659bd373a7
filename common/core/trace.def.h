/* SPDX-License-Identifier: Apache-2.0
 * Kinds of trace records: T(name, number: never reused, text with the meaning of the three values). */
#ifndef T
#error "define T(name, number, text) before including trace.def.h"
#endif
T(fail,       1, "an error was made: code, line, file")
T(rpc_serve,  2, "a request begins: op, client, operation number")
T(rpc_served, 3, "and ends: op, client, status")
T(rpc_call,   4, "a call begins: op, request, operation number")
T(rpc_called, 5, "and ends: op, request, result")
T(conn_new,   6, "a connection: inbound 1 or outbound 0, 0, 0")
T(conn_gone,  7, "a connection ended: 0, result, 0")
#undef T
