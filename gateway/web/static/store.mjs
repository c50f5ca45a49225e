// What a browser keeps of its threads, in IndexedDB: the confirmed copies, the pending mutations, what was refused, and
// the cursor. Each change is one transaction, so that a tab that is killed leaves a whole state.

const NAME = "penstock-threads";
const STORES = ["meta", "threads", "pending", "dead", "tasks"];
export const MOST_PENDING = 10_000;

export class Full extends Error {}

export class Store {
  /** Opens the database of a person in a team. What another person has left is deleted first. */
  static async open(owner) {
    const database = await opened();
    const store = new Store(database, owner);
    await store.change((state) => {
      if (state.meta.owner === owner) return;
      state.reset = true;
      state.meta = { owner, client: crypto.randomUUID(), last: 0, cursor: null };
    });
    return store;
  }

  constructor(database, owner) {
    this.database = database;
    this.owner = owner;
  }

  /** Runs `change` on the whole state but threads, which it may set by `put`: all of it is stored, or nothing. */
  async change(change, threads = []) {
    const transaction = this.database.transaction(STORES, "readwrite", { durability: "strict" });
    const get = (name, key) => asked(transaction.objectStore(name).get(key));
    const all = (name) => asked(transaction.objectStore(name).getAll());
    const state = {
      meta: (await get("meta", "state"))?.value ?? {},
      pending: await all("pending"),
      threads: new Map((await Promise.all(threads.map((id) => get("threads", id)))).filter(Boolean).map((t) => [t.id, t])),
      dead: [],
      purge: [],
      reset: false,
    };
    const before = new Map(state.pending.map((one) => [one.id, one]));
    const result = change(state);
    if (state.reset) for (const name of STORES) transaction.objectStore(name).clear();
    transaction.objectStore("meta").put({ key: "state", value: state.meta });
    for (const mutation of state.pending) {
      if (before.get(mutation.id) !== mutation) transaction.objectStore("pending").put(mutation);
      before.delete(mutation.id);
    }
    for (const id of before.keys()) transaction.objectStore("pending").delete(id);
    for (const thread of state.threads.values()) transaction.objectStore("threads").put(thread);
    for (const id of state.purge) transaction.objectStore("threads").delete(id);
    for (const one of state.dead) transaction.objectStore("dead").put({ ...one, id: crypto.randomUUID() }); // numbers begin again with another client
    await finished(transaction);
    return result;
  }

  /** Adds a mutation with the next number, and returns it once it is stored. Throws `Full`. */
  async add(mutation) {
    return this.change((state) => {
      if (state.pending.length >= MOST_PENDING) throw new Full(`${MOST_PENDING} changes wait to be sent already`);
      state.meta.last += 1;
      const added = { ...mutation, id: state.meta.last };
      state.pending.push(added);
      return added;
    });
  }

  async read() {
    const transaction = this.database.transaction(STORES, "readonly");
    const [meta, pending, dead, threads] = await Promise.all([
      asked(transaction.objectStore("meta").get("state")),
      asked(transaction.objectStore("pending").getAll()),
      asked(transaction.objectStore("dead").getAll()),
      asked(transaction.objectStore("threads").getAllKeys()),
    ]);
    dead.sort((one, other) => String(one.at).localeCompare(String(other.at)));
    return { meta: meta?.value ?? {}, pending, dead, held: threads };
  }

  async thread(id) {
    return asked(this.database.transaction("threads").objectStore("threads").get(id));
  }

  async forget(dead) {
    const transaction = this.database.transaction("dead", "readwrite");
    transaction.objectStore("dead").delete(dead);
    return finished(transaction);
  }

  /** The thread of a task, as far as it is known. */
  async threadOf(task) {
    return (await asked(this.database.transaction("tasks").objectStore("tasks").get(task)))?.thread;
  }

  async know(task, thread) {
    const transaction = this.database.transaction("tasks", "readwrite");
    transaction.objectStore("tasks").put({ task, thread });
    return finished(transaction);
  }

  close() {
    this.database.close();
  }
}

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      const database = request.result;
      database.createObjectStore("meta", { keyPath: "key" });
      database.createObjectStore("threads", { keyPath: "id" });
      database.createObjectStore("pending", { keyPath: "id" });
      database.createObjectStore("dead", { keyPath: "id" });
      database.createObjectStore("tasks", { keyPath: "task" });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("another tab holds an older version open"));
  });
}

function asked(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function finished(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error("the browser's storage refused the change"));
    transaction.onerror = () => reject(transaction.error);
  });
}
