// SPDX-License-Identifier: Apache-2.0

import type { Tool } from '../api/skep/v1/agent_pb';
import type { TraceEvent } from '../api/skep/v1/trace_pb';
import { TraceMode } from '../api/skep/v1/trace_pb';
import { mostRows, nothing, type Output, told } from '../model/tool';
import { agent, failure } from './client';

/** What a tool is run with. */
export interface Wanted {
  args: string[];
  pid: number;
  container: string;
  options: Record<string, string>;
}

/** The page looks at what came this often, in ms. */
const step = 150;

/** A tool that runs in the agent, from start to its end or until the page leaves it. */
export class ToolRun {
  output = $state.raw<Output>(nothing());
  running = $state(false);
  problem = $state('');

  #id = '';
  #stream: AbortController | undefined;
  #waiting: TraceEvent[] = [];

  constructor(readonly tool: Tool) {}

  async start(wanted: Wanted) {
    if (this.running) return;
    this.output = nothing();
    this.problem = '';
    this.running = true;
    this.#stream = new AbortController();
    const timer = setInterval(() => this.#take(), step);
    try {
      const request = { mode: TraceMode.RUN, tool: this.tool.name, ...wanted };
      for await (const { events } of agent.trace(request, { signal: this.#stream.signal })) {
        for (const e of events) if (e.body.case === 'ready') this.#id = e.body.value.id;
        this.#waiting.push(...events);
        if (this.#waiting.length > mostRows) this.#take(); // the timer of a page that is hidden hardly runs
      }
    } catch (e) {
      if (!this.#stream.signal.aborted) this.problem = failure(e).message;
    } finally {
      clearInterval(timer);
      this.#take();
      this.#id = '';
      this.running = false;
    }
  }

  /** Ends it in peace: its maps still come. What is not attached yet is left. */
  async stop() {
    if (!this.#id) {
      this.leave();
      return;
    }
    try {
      await agent.endTrace({ id: this.#id });
    } catch (e) {
      this.problem = failure(e).message;
      this.leave();
    }
  }

  /** Ends it at once. */
  leave() {
    this.#stream?.abort();
  }

  #take() {
    if (this.#waiting.length === 0) return;
    const events = this.#waiting;
    this.#waiting = [];
    this.output = told(this.output, events, this.tool);
  }
}
