import { mount } from "svelte";
import { app } from "./state/app.svelte";
import "./view/app.css";
import App from "./view/App.svelte";

app.start();
mount(App, { target: document.getElementById("app")! });
